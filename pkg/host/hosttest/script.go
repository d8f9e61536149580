package hosttest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

func (p *parser) mount(l *line) error {
	busy := l.flag("busy", 3)
	if err := l.want(3, 4, "mount SOURCE PATH TYPE [OPTIONS] [busy]"); err != nil {
		return err
	}
	mt := &mount{Mount: host.Mount{Source: l.args[0], Path: l.args[1], Type: l.args[2]}, busy: busy}
	if len(l.args) > 3 {
		mt.Options = strings.Split(l.args[3], ",")
	}
	p.m.mounts = append(p.m.mounts, mt)
	return nil
}

func (p *parser) usage(l *line) error {
	var u host.Usage
	for key, dst := range map[string]*uint64{"bytes": &u.Bytes, "free": &u.BytesFree, "available": &u.BytesAvailable,
		"inodes": &u.Inodes, "inodesfree": &u.InodesFree} {
		n, err := strconv.ParseUint(l.attr(key, "0"), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		*dst = n
	}
	var err error
	if u.ReadOnly, err = l.truth("readonly", false); err != nil {
		return err
	}
	if err := l.want(1, 1, "usage PATH with bytes=, free=, available=, inodes=, inodesfree=, readonly="); err != nil {
		return err
	}
	p.m.usages[l.args[0]] = u
	return nil
}

func (p *parser) command(l *line) error {
	if len(l.argv) == 0 {
		return errors.New(`want command ["PROGRAM","ARGUMENT",…]`)
	}
	code, err := l.number("code", 0)
	if err != nil {
		return err
	}
	s := &script{argv: l.argv, code: code, stdout: l.attr("stdout", ""), stderr: l.attr("stderr", ""),
		exists: l.attr("exists", ""), rejects: l.attr("rejects", ""), removes: l.attr("removes", ""), stdin: l.attr("stdin", ""), gives: l.attr("gives", ""), leaves: l.attr("leaves", ""), composes: l.attr("composes", ""),
		reads: l.flag("reads", 0), once: l.flag("once", 0)}
	if _, words, _ := strings.Cut(s.leaves, ","); s.leaves != "" {
		if err := new(device).fill(strings.Split(words, ",")); words != "" && err != nil {
			return err
		}
	}
	s.reads = s.reads || s.exists != "" || s.rejects != ""
	if name := l.attr("creates", ""); name != "" {
		s.creates = map[string]string{name: l.attr("content", "")}
	}
	p.m.commands = append(p.m.commands, s)
	return l.want(0, 0, "command [ARGV] [reads] [once] with code=, stdout=, stderr=, exists=, rejects=, creates=, content=, removes=, gives=, stdin=, leaves=, composes=")
}

func (p *parser) program(l *line) error {
	if err := l.want(2, 2, "program NAME PATH"); err != nil {
		return err
	}
	p.m.programs[l.args[0]] = l.args[1]
	return nil
}

func (p *parser) url(l *line) error {
	cut, err := l.number("cut", -1)
	if err != nil {
		return err
	}
	if err := l.want(1, 2, `url URL "CONTENT" with cut=BYTES`); err != nil {
		return err
	}
	if cut >= 0 {
		p.m.cuts[l.args[0]] = cut
	}
	body := ""
	if len(l.args) > 1 {
		body = l.args[1]
	}
	if l.body != nil {
		body += *l.body
	}
	p.m.urls[l.args[0]] = body
	return nil
}

func (p *parser) fail(l *line) error {
	if err := l.want(2, 4, `fail WORD [TARGET] "TEXT"`); err != nil {
		return err
	}
	last := len(l.args) - 1
	p.m.failures[strings.Join(l.args[:last], " ")] = failureOf(l.args[last])
	return nil
}
