package api

import (
	"net/http"
	"slices"

	"vigo.dev/pkg/identity"
)

// operatorRoles are those an operator token can have.
func operatorRoles() []identity.Role {
	return []identity.Role{identity.RoleViewer, identity.RoleOperator, identity.RoleAdmin, identity.RolePublisher}
}

func (s *server) operators(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Staff.ListOperators(r.Context())
}

func (s *server) putOperator(w http.ResponseWriter, r *http.Request) (any, error) {
	var req OperatorRequest
	if err := read(w, r, MaxSmall, &req); err != nil {
		return nil, err
	}
	o := Operator{Name: r.PathValue("name"), Role: req.Role}
	if err := identity.CheckName(o.Name); err != nil {
		return nil, err
	}
	if !slices.Contains(operatorRoles(), o.Role) {
		return nil, Refuse(ErrBadRequest, "role %.40q is not one of %v", o.Role, operatorRoles())
	}
	token, err := s.Staff.AddOperator(r.Context(), o)
	return OperatorAnswer{Operator: o, Token: token}, err
}

func (s *server) removeOperator(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, s.Staff.RemoveOperator(r.Context(), r.PathValue("name"))
}
