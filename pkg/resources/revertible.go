package resources

import (
	"errors"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resource"
)

// The types that can be guarded, and why others that one would like to guard cannot.
var (
	_ resource.Revertible = (*Block)(nil)
	_ resource.Revertible = (*File)(nil)
	_ resource.Revertible = (*FirewallPolicy)(nil)
	_ resource.Revertible = (*FirewallRule)(nil)
	_ resource.Revertible = (*HostEntry)(nil)
	_ resource.Revertible = (*Ini)(nil)
	_ resource.Revertible = (*JSON)(nil)
	_ resource.Revertible = (*Line)(nil)
	_ resource.Revertible = (*NetworkInterface)(nil)
	_ resource.Revertible = (*PAMRule)(nil)
	_ resource.Revertible = (*Replace)(nil)
	_ resource.Revertible = (*Resolver)(nil)
	_ resource.Revertible = (*Route)(nil)
	_ resource.Revertible = (*Service)(nil)
	_ resource.Revertible = (*SudoRule)(nil)
	_ resource.Revertible = (*Symlink)(nil)
	_ resource.Revertible = (*Sysctl)(nil)
	_ resource.Revertible = (*SystemdDropIn)(nil)
	_ resource.Revertible = (*SystemdUnit)(nil)
	_ resource.Revertible = (*TOML)(nil)
	_ resource.Revertible = (*XML)(nil)
	_ resource.Revertible = (*YAML)(nil)
)

// Revertible implements [resource.Revertible].
func (*Block) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (f *File) Revertible() error {
	if f.Immutable != nil {
		return fault.WithHint(errors.New("the flag immutable is not put back"), "leave immutable out")
	}
	return nil
}

// Revertible implements [resource.Revertible].
func (*FirewallPolicy) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*FirewallRule) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*HostEntry) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Ini) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*JSON) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Line) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*NetworkInterface) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*PAMRule) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Replace) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Resolver) Revertible() error { return nil }

// Revertible implements [resource.Revertible]. Ifupdown has routes set by a program that says what the new one is.
func (r *Route) Revertible() error {
	if r.Provider == "ifupdown" {
		return fault.WithHint(errors.New("a route that was set by ifupdown stays in the kernel when its file goes"), "guard the network_interface")
	}
	return nil
}

// Revertible implements [resource.Revertible].
func (*Service) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*SudoRule) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Symlink) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Sysctl) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*SystemdDropIn) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*SystemdUnit) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*TOML) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*XML) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*YAML) Revertible() error { return nil }

// Revertible implements [resource.Revertible].
func (*Exec) Revertible() error { return errProgram }

// Revertible implements [resource.Revertible].
func (*Script) Revertible() error { return errProgram }

// Revertible implements [resource.Revertible].
func (*Custom) Revertible() error { return errProgram }

var errProgram = fault.WithHint(errors.New("nobody knows what a program changes"),
	"guard the files it is about; what they notify is run again when they are put back")

// Revertible implements [resource.Revertible].
func (*Package) Revertible() error {
	return fault.WithHint(errors.New("nobody knows what the scripts of a package change"), "guard the files and services that come after it")
}

// Revertible implements [resource.Revertible].
func (*VLANInterface) Revertible() error { return errDevice }

// Revertible implements [resource.Revertible].
func (*Bond) Revertible() error { return errDevice }

var errDevice = errors.New("an interface that was made or taken away is not put back with its file")
