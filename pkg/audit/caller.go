package audit

import "context"

// Service is the actor of what a program does on its own, such as the credentials it makes at its first start.
const Service = "service"

// A Caller is who asks for something, as far as it is known by now: a server makes one for every request, and fills it in
// when it has found out.
type Caller struct {
	Name    string
	Role    string
	Address string // without the port
}

type callerKey struct{}

// WithCaller returns a context that carries who asks.
func WithCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf returns who asks; [Service] when nobody does.
func CallerOf(ctx context.Context) Caller {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		return *c
	}
	return Caller{Name: Service, Role: Service}
}

// Know notes who asks, once that is proved. A context without a caller is left alone.
func Know(ctx context.Context, name, role string) {
	if c, ok := ctx.Value(callerKey{}).(*Caller); ok {
		c.Name, c.Role = name, role
	}
}

// By returns an entry for what the caller of a context does.
func By(ctx context.Context, act, object string, detail map[string]string) Entry {
	c := CallerOf(ctx)
	return Entry{Actor: c.Name, Role: c.Role, Act: act, Object: object, Detail: detail, Address: c.Address}
}
