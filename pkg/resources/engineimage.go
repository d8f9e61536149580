package resources

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// imageReference is the grammar of https://github.com/distribution/reference, with the host, tag and digest apart.
var imageReference = regexp.MustCompile(`^((?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]+)?/)?` +
	`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)` +
	`(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

var imageDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// An imageRef is the name of an image, taken apart.
type imageRef struct{ repository, tag, digest string }

// parseImage reads the name of an image.
func parseImage(ref string) (imageRef, error) {
	m := imageReference.FindStringSubmatch(ref)
	if m == nil || len(ref) > 512 {
		return imageRef{}, fault.WithHint(fmt.Errorf("%q is not the name of an image", ref), "such as docker.io/library/nginx:1.27, or with @sha256:… behind it")
	}
	r := imageRef{m[1], m[2], m[3]}
	if r.tag == "" && r.digest == "" {
		return r, fault.WithHint(fmt.Errorf("%q names neither a tag nor a digest", ref), "write "+ref+":latest if that is meant")
	}
	return r, nil
}

// tagged is the name with the tag, or else with the digest.
func (r imageRef) tagged() string {
	if r.tag == "" {
		return r.repository + "@" + r.digest
	}
	return r.repository + ":" + r.tag
}

// engineImage is what an engine says of an image.
type engineImage struct {
	ID          string `json:"Id"`
	RepoDigests []string
}

// has tells whether the image is the one with this digest in a registry.
func (i engineImage) has(digest string) bool {
	return slices.ContainsFunc(i.RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+digest) })
}

// digest is what the image has in a registry, shortened for people; the id if it came from none.
func (i engineImage) digest() string {
	if len(i.RepoDigests) == 0 {
		return short(i.ID)
	}
	_, digest, _ := strings.Cut(i.RepoDigests[0], "@")
	return short(digest)
}

// short is enough of a digest to tell it from others.
func short(digest string) string { return fmt.Sprintf("%.19s", digest) }

// image looks at an image; nil if the engine has none of that name.
func (e engine) image(ctx context.Context, ref string) (*engineImage, error) {
	var is engineImage
	err := e.get(ctx, "/images/"+ref+"/json", nil, &is)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the image %s: %w", ref, err)
	}
	return &is, nil
}

// A registryLogin is who pulls.
type registryLogin struct{ username, password string }

// pull has the engine get an image, by its digest if that is given; the tag then leads to it. The engine checks that the
// content has the digest.
func (e engine) pull(ctx context.Context, r imageRef, platform string, login registryLogin) error {
	query := url.Values{"fromImage": {r.repository}, "tag": {r.tag}}
	if r.digest != "" {
		query.Set("tag", r.digest)
	}
	if platform != "" {
		query.Set("platform", platform)
	}
	c := host.Call{Method: "POST", URL: engineURL("/images/create", query), Header: map[string]string{}}
	if login.username != "" {
		text, err := json.Marshal(map[string]string{"username": login.username, "password": login.password})
		if err != nil {
			return err
		}
		c.Header["X-Registry-Auth"] = base64.URLEncoding.EncodeToString(text)
	}
	answer, err := e.send(ctx, c)
	switch {
	case err != nil:
	case answer.Status != 200:
		err = errors.New(engineSays(answer))
	default:
		err = pullError(answer.Body)
	}
	if err != nil {
		return fmt.Errorf("pulling %s: %w", r.tagged(), err)
	}
	if r.digest == "" || r.tag == "" {
		return nil
	}
	by := imageRef{repository: r.repository, digest: r.digest}.tagged()
	if err := e.post(ctx, "/images/"+by+"/tag", url.Values{"repo": {r.repository}, "tag": {r.tag}}, nil, nil); err != nil {
		return fmt.Errorf("tagging %s: %w", r.tagged(), err)
	}
	return nil
}

// pullError reads the messages of a pull: the status was said before anything was pulled.
func pullError(stream []byte) error {
	d := json.NewDecoder(bytes.NewReader(stream))
	for {
		var line struct {
			Error       string `json:"error"`
			ErrorDetail struct {
				Message string `json:"message"`
			} `json:"errorDetail"`
		}
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the answer of the container engine: %w", err)
		case line.ErrorDetail.Message != "":
			return errors.New("the container engine says: " + line.ErrorDetail.Message)
		case line.Error != "":
			return errors.New("the container engine says: " + line.Error)
		}
	}
}
