package resources

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ContainerImage is an image that the container engine of the host has: Docker, or Podman when its socket podman.socket is
// listening. With a digest it is exactly that image, and the tag leads to it; by a tag alone any image of that tag will do, and a
// newer one in the registry is not looked for. While the image is there no registry is asked, and no program is started: the
// engine is asked through its socket.
//
//	resources:
//	  - container_image: docker.io/library/nginx:1.27@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	  - container_image: registry.example.com/shop/api:7
//	    username: fleet
//	    password: "{{ secret('registry') }}"
type ContainerImage struct {
	// Reference is the name of the image with its tag, its digest, or both.
	Reference string `vigo:"identity"`

	// Ensure says whether the image should be there. An image is not removed while a container is made of it.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Digest of the image in its registry, sha256: and 64 hexadecimal digits, where the name does not hold it. For an image
	// of several platforms it is that of the index, or of the one platform.
	Digest string `yaml:"digest"`

	// Platform to pull from an image of several, such as linux/arm64. That of the host if it is not given.
	Platform string `yaml:"platform"`

	// Username to pull with.
	Username string `yaml:"username"`

	// Password, or token, to pull with. It goes to the engine through its socket.
	Password string `yaml:"password" vigo:"secret"`

	// Engine is docker, podman, or the path of a socket. The first of Docker and Podman that is there if it is not given.
	Engine string `yaml:"engine"`
}

var (
	_ resource.Validator = (*ContainerImage)(nil)
	_ resource.Requirer  = (*ContainerImage)(nil)
)

// ref is the image with the digest that is given apart.
func (c *ContainerImage) ref() (imageRef, error) {
	name := c.Reference
	if c.Digest != "" {
		name += "@" + c.Digest
	}
	return parseImage(name)
}

// Validate implements [resource.Validator].
func (c *ContainerImage) Validate() error {
	if c.Digest != "" && !imageDigest.MatchString(c.Digest) {
		return errors.New("digest: want sha256: and 64 hexadecimal digits in lower case")
	}
	if _, err := c.ref(); err != nil {
		return err
	}
	if c.Password != "" && c.Username == "" {
		return fault.WithHint(errors.New("password needs a username"), "registries that take a token say which name belongs to it")
	}
	if c.Platform != "" && !plainWord(c.Platform, "/.") {
		return fmt.Errorf("platform: %q is not a platform such as linux/arm64", c.Platform)
	}
	return checkEngine(c.Engine)
}

// Requires implements [resource.Requirer].
func (c *ContainerImage) Requires() []resource.ID { return engineRequires() }

// Plan implements [resource.Resource].
func (c *ContainerImage) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	ref, err := c.ref()
	if err != nil {
		return p, err
	}
	e, err := engineOf(h, c.Engine)
	if err != nil {
		return p, err
	}
	is, err := e.image(ctx, ref.tagged())
	if err != nil {
		return p, err
	}
	pull := func(ctx context.Context) error { return c.pull(ctx, e, ref) }
	switch {
	case c.Ensure == "absent" && is != nil:
		p.Do(func(ctx context.Context) error { return c.drop(ctx, e, ref) }, change.Of("ensure", is.digest(), change.Absent))
	case c.Ensure == "absent":
	case is == nil:
		p.Do(pull, change.Of("ensure", change.Absent, orWord(short(ref.digest), "present")))
	case ref.digest != "" && !is.has(ref.digest):
		p.Do(pull, change.Of("digest", is.digest(), short(ref.digest)))
	}
	return p, nil
}

// pull gets the image and looks at what came: the engine may lie, or a proxy in front of it.
func (c *ContainerImage) pull(ctx context.Context, e engine, ref imageRef) error {
	if err := e.pull(ctx, ref, c.Platform, registryLogin{c.Username, c.Password}); err != nil {
		return err
	}
	is, err := e.image(ctx, ref.tagged())
	switch {
	case err != nil:
		return err
	case is == nil:
		return fmt.Errorf("the container engine pulled %s and does not have it", ref.tagged())
	case ref.digest != "" && !is.has(ref.digest):
		return fmt.Errorf("the container engine pulled %s, which has the digest %s and not %s", ref.tagged(), is.digest(), short(ref.digest))
	}
	return nil
}

func (c *ContainerImage) drop(ctx context.Context, e engine, ref imageRef) error {
	err := e.remove(ctx, "/images/"+ref.tagged(), url.Values{})
	if err != nil {
		return fault.WithHint(fmt.Errorf("removing the image %s: %w", ref.tagged(), err), "an image stays while a container is made of it")
	}
	return nil
}
