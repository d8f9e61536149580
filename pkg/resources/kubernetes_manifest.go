package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// KubernetesManifest is a set of objects of a Kubernetes cluster, applied on the side of the server with the field manager vigo: the
// fields that are declared are kept as declared, others are left to whoever owns them, and a field that leaves the declaration is
// given back. The cluster is asked over HTTPS, by a dry run of its own; kubectl is not needed.
//
// An object that leaves the manifest stays in the cluster: declare it with ensure: absent.
//
//	resources:
//	  - kubernetes_manifest: shop
//	    kubeconfig: /etc/kubernetes/admin.conf
//	    template: shop.yaml
type KubernetesManifest struct {
	// Name of the set, for people.
	Name string `vigo:"identity"`

	// Ensure says whether the objects should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Manifest is the objects in YAML, with --- between them.
	Manifest string `yaml:"manifest"`

	// Template of the module that is rendered into the manifest.
	Template string `yaml:"template"`

	// Source is a file of the module with the manifest.
	Source string `yaml:"source"`

	// Namespace of objects that name none; default if it is not given.
	Namespace string `yaml:"namespace"`

	// Kubeconfig is a file that says where the cluster is and who asks: by client certificate, token, or file of a token.
	// /etc/kubernetes/admin.conf if neither it nor server is given.
	Kubeconfig string `yaml:"kubeconfig"`

	// Context of the kubeconfig; its current one if it is not given.
	Context string `yaml:"context"`

	// Server is the URL of the cluster, in place of a kubeconfig.
	Server string `yaml:"server"`

	// CA is a file with the certificate of the authority that vouches for the server.
	CA string `yaml:"ca"`

	// Token says who asks, with server.
	Token string `yaml:"token" vigo:"secret"`

	// Force takes fields from other managers that own them with other values. It is an error otherwise.
	Force bool `yaml:"force"`

	text []byte // of a template or source
}

var (
	_ resource.Validator = (*KubernetesManifest)(nil)
	_ resource.Binder    = (*KubernetesManifest)(nil)
	_ resource.Requirer  = (*KubernetesManifest)(nil)
)

const (
	kubernetesManager = "vigo"
	adminConf         = "/etc/kubernetes/admin.conf"
)

// Validate implements [resource.Validator].
func (k *KubernetesManifest) Validate() error {
	given := 0
	for _, text := range []string{k.Manifest, k.Template, k.Source} {
		if text != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("needs one of manifest, template and source")
	case k.Server != "" && k.Kubeconfig+k.Context != "":
		return errors.New("server and kubeconfig exclude each other")
	case k.Server == "" && k.CA+k.Token != "":
		return errors.New("ca and token belong to server: a kubeconfig has its own")
	case k.Namespace != "" && !plainWord(k.Namespace, ""):
		return fmt.Errorf("namespace: %q is not the name of one", k.Namespace)
	}
	for key, file := range map[string]string{"kubeconfig": k.Kubeconfig, "ca": k.CA} {
		if file == "" {
			continue
		}
		if err := checkPath(file); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if k.Server != "" {
		if err := checkServer(k.Server); err != nil {
			return err
		}
	}
	if k.Manifest == "" {
		return nil
	}
	_, err := parseManifest([]byte(k.Manifest))
	return err
}

// Bind implements [resource.Binder].
func (k *KubernetesManifest) Bind(c resource.Content) (err error) {
	switch {
	case k.Template != "":
		if k.text, err = c.Template(k.Template); err != nil {
			return fmt.Errorf("template: %w", err)
		}
	case k.Source != "":
		f := &File{Source: k.Source}
		if err := f.Bind(c); err != nil {
			return err
		}
		text, ok := f.Text()
		if !ok {
			return fmt.Errorf("source: %s is not text", k.Source)
		}
		k.text = []byte(text)
	default:
		k.text = []byte(k.Manifest)
	}
	_, err = parseManifest(k.text)
	return err
}

// Requires implements [resource.Requirer].
func (k *KubernetesManifest) Requires() []resource.ID {
	var ids []resource.ID
	for _, file := range []string{orWord(k.Kubeconfig, adminConf), k.CA} {
		ids = append(ids, resource.ID{Type: "file", Name: file})
	}
	for _, name := range []string{"kubelet", "k3s"} {
		ids = append(ids, resource.ID{Type: "service", Name: name})
	}
	return ids
}

// Plan implements [resource.Resource].
func (k *KubernetesManifest) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	objects, err := parseManifest(k.text)
	if err != nil {
		return p, err
	}
	c, err := k.cluster(h)
	if err != nil {
		return p, err
	}
	absent := k.Ensure == "absent"
	if absent {
		slices.Reverse(objects)
	}
	for _, o := range objects {
		if absent {
			err = k.planAbsent(ctx, c, o, &p)
		} else {
			err = k.planPresent(ctx, c, o, objects, &p)
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", o, err)
		}
	}
	return p, nil
}

func (k *KubernetesManifest) planAbsent(ctx context.Context, c *kubernetes, o kubeObject, p *resource.Plan) error {
	at, err := c.path(ctx, o, k.Namespace)
	if errors.Is(err, host.ErrNotFound) {
		return nil // the cluster has no such kind
	}
	if err != nil {
		return err
	}
	live, err := c.get(ctx, at)
	if err != nil || live == nil || live.going() {
		return err
	}
	p.Do(func(ctx context.Context) error { return c.remove(ctx, at) }, change.Of(o.String(), "present", change.Absent))
	return nil
}

func (k *KubernetesManifest) planPresent(ctx context.Context, c *kubernetes, o kubeObject, all []kubeObject, p *resource.Plan) error {
	at, err := c.path(ctx, o, k.Namespace)
	if errors.Is(err, host.ErrNotFound) && o.definedBy(all) {
		// Its definition is applied first, and taken up by the cluster a moment later.
		p.Do(func(ctx context.Context) error { return k.applyLate(ctx, c, o) }, change.Of(o.String(), change.Absent, "present"))
		return nil
	}
	if err != nil {
		return err
	}
	live, err := c.get(ctx, at)
	if err != nil {
		return err
	}
	would, err := c.apply(ctx, at, o, k.Namespace, k.Force, true)
	if live == nil && (errors.Is(err, host.ErrNotFound) && o.insideOneOf(all, k.Namespace) || lacksOther(err) && creates(p)) {
		err = nil // its namespace comes first, or something else that it needs
	}
	if err != nil {
		return err
	}
	apply := func(ctx context.Context) error {
		if _, err := c.apply(ctx, at, o, k.Namespace, k.Force, false); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
		return nil
	}
	if live == nil {
		p.Do(apply, change.Of(o.String(), change.Absent, "present"))
		return nil
	}
	if differs := o.differences(live, would); len(differs) > 0 {
		p.Do(apply, differs...)
	}
	return nil
}

// creates tells whether a plan makes objects that are not there.
func creates(p *resource.Plan) bool {
	return slices.ContainsFunc(p.Changes(), func(c change.Change) bool { return c.From == change.Absent })
}

// applyLate applies an object whose kind was defined a moment ago.
func (k *KubernetesManifest) applyLate(ctx context.Context, c *kubernetes, o kubeObject) error {
	at, err := c.pathSoon(ctx, o, k.Namespace)
	if err != nil {
		return fault.WithHint(err, "the next run tries again")
	}
	_, err = c.apply(ctx, at, o, k.Namespace, k.Force, false)
	return err
}
