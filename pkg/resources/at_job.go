package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// AtJob is a job that runs once, at a time, by at(1). The jobs that wait are read from the spool of at. A job whose time has
// passed is left alone: it has run, or was missed for good, so the resource can stay in the policy.
//
//	resources:
//	  - at_job: cutover
//	    time: "2027-03-01T02:00:00+01:00"
//	    command: /usr/local/sbin/cutover
type AtJob struct {
	// Name of the job: letters, digits, "-" and "_".
	Name string `vigo:"identity"`

	// Ensure says whether the job should wait for its time.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Time it runs, to the minute, with the offset from UTC: 2027-03-01T02:00:00+01:00.
	Time string `yaml:"time"`

	// Command is a script for /bin/sh.
	Command string `yaml:"command"`

	// User the job runs as; root if it is not given.
	User string `yaml:"user"`
}

var (
	_ resource.Validator = (*AtJob)(nil)
	_ resource.Requirer  = (*AtJob)(nil)
)

// Validate implements [resource.Validator].
func (j *AtJob) Validate() error {
	if !cronName.MatchString(j.Name) {
		return fmt.Errorf("%q is no name for a job: want letters, digits, \"-\" and \"_\"", j.Name)
	}
	if j.User != "" && !cronUser.MatchString(j.User) {
		return fmt.Errorf("user: %q is not the name of a user", j.User)
	}
	if j.Ensure == "absent" {
		return nil
	}
	if j.Time == "" || strings.TrimSpace(j.Command) == "" {
		return errors.New("needs the keys \"time\" and \"command\"")
	}
	at, err := time.Parse(time.RFC3339, j.Time)
	if err != nil {
		return fmt.Errorf("time: %q is not a time such as 2027-03-01T02:00:00+01:00", j.Time)
	}
	if at.Second() != 0 {
		return errors.New("time: at knows whole minutes only")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (j *AtJob) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "at"}, {Type: "service", Name: "atd"}}
	if j.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: j.User})
	}
	return ids
}

func (j *AtJob) mark() string { return "# vigo at_job " + j.Name }

// script is what at is given. It runs with the time zone of the machine, whatever the time was given in.
func (j *AtJob) script() string {
	return j.mark() + "\nunset TZ\n" + strings.TrimRight(j.Command, "\n") + "\n"
}

// waitingJob is a job in the spool of at.
type waitingJob struct {
	number int
	at     time.Time
	same   bool // its script is the declared one
}

// Plan implements [resource.Resource].
func (j *AtJob) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	found, err := j.waiting(h)
	if err != nil {
		return p, err
	}
	at, _ := time.Parse(time.RFC3339, j.Time)
	due := j.Ensure != "absent" && at.After(h.Clock.Now())
	const show = "2006-01-02T15:04Z07:00"
	from := change.Absent
	for _, is := range found {
		if due && is.same && is.at.Equal(at) && from == change.Absent {
			from = ""
			continue
		}
		remove := func(ctx context.Context) error { return runProgram(ctx, h, "atrm", strconv.Itoa(is.number)) }
		p.Do(remove, change.Of(fmt.Sprintf("job %d", is.number), is.at.UTC().Format(show), change.Absent))
	}
	if !due || from == "" {
		return p, nil
	}
	p.Do(func(ctx context.Context) error {
		return runCommand(ctx, h, host.Command{Argv: []string{"at", "-M", "-t", at.UTC().Format("200601021504")}, Env: []string{"TZ=UTC"},
			User: j.User, Stdin: strings.NewReader(j.script())})
	}, change.Of("time", change.Absent, at.UTC().Format(show)))
	return p, nil
}

// waiting reads the jobs of this name. The name of a file in the spool is a letter for the queue, the number of the job and
// the minutes since 1970, both in hexadecimal.
func (j *AtJob) waiting(h *host.Host) ([]waitingJob, error) {
	var found []waitingJob
	for _, dir := range []string{"/var/spool/cron/atjobs", "/var/spool/at"} {
		entries, err := h.FS.List(dir)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if len(e.Name) != 14 || e.Kind != host.File {
				continue
			}
			number, errNumber := strconv.ParseInt(e.Name[1:6], 16, 32)
			minutes, errMinutes := strconv.ParseInt(e.Name[6:], 16, 64)
			if errNumber != nil || errMinutes != nil {
				continue
			}
			body, err := h.FS.Read(path.Join(dir, e.Name), 4<<20)
			if errors.Is(err, host.ErrNotFound) {
				continue // it runs
			}
			if err != nil {
				return nil, err
			}
			if text := string(body); strings.Contains(text, "\n"+j.mark()+"\n") {
				found = append(found, waitingJob{int(number), time.Unix(minutes*60, 0), strings.Contains(text, "\n"+j.script())})
			}
		}
	}
	return found, nil
}
