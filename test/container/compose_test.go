package container_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"go.yaml.in/yaml/v3"

	"github.com/walshift/walshift/test/cluster"
	"github.com/walshift/walshift/test/world"
)

// compose is what this test knows of a compose file.
type compose struct {
	Services map[string]struct {
		ReadOnly    bool              `yaml:"read_only"`
		CapDrop     []string          `yaml:"cap_drop"`
		SecurityOpt []string          `yaml:"security_opt"`
		Privileged  bool              `yaml:"privileged"`
		User        string            `yaml:"user"`
		Volumes     []string          `yaml:"volumes"`
		Environment map[string]string `yaml:"environment"`
		Ports       []string          `yaml:"ports"`
		Command     any               `yaml:"command"`
		Configs     []struct{ Source, Target string }
		HealthCheck struct{ Test []string } `yaml:"healthcheck"`
		DependsOn   map[string]any          `yaml:"depends_on"`
		Build       struct{ Context, Dockerfile string }
	}
	Configs map[string]struct{ Content string }
	Volumes map[string]any
}

func readCompose(t *testing.T) compose {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, "deploy/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCompose: names fit together, the daemon has no rights that it does not
// need, and its health check is the image's.
func TestCompose(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	stages := parseDockerfile(t, filepath.Join(module, "Dockerfile"))
	check := stages[len(stages)-1].last(t, "HEALTHCHECK")
	image, _ := check.form()
	w := c.Services["walshift"]
	if !w.ReadOnly || w.Privileged || w.User != "" || !slices.Equal(w.Volumes, []string{"spool:" + state}) || !slices.Equal(w.CapDrop, []string{"ALL"}) ||
		!slices.Equal(w.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("the daemon's rights: %+v", w)
	}
	if want := append([]string{"CMD"}, image...); !slices.Equal(w.HealthCheck.Test, want) {
		t.Errorf("the health check is %q, the image's %q", w.HealthCheck.Test, want)
	}
	for name, s := range c.Services {
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
		for _, config := range s.Configs {
			if c.Configs[config.Source].Content == "" {
				t.Errorf("%s mounts %s, which is no config", name, config.Source)
			}
		}
		for _, volume := range s.Volumes {
			volume, _, _ = strings.Cut(volume, ":")
			if _, ok := c.Volumes[volume]; !ok {
				t.Errorf("%s mounts %s, which is no volume", name, volume)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s opens %s to the network", name, port)
			}
		}
		if s.Build.Context != "" {
			file := filepath.Join(module, "deploy", s.Build.Context, s.Build.Dockerfile)
			if s.Build.Dockerfile == "" {
				file = filepath.Join(module, "deploy", s.Build.Context, "Dockerfile")
			}
			stages := parseDockerfile(t, file)
			if user := stages[len(stages)-1].last(t, "USER").rest; user != "65532:65532" {
				t.Errorf("%s runs as %s", name, user)
			}
		}
	}
}

// TestStandInBuildsAlone: its image is built from its own folder.
func TestStandInBuildsAlone(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./test/redshift/rsstandin")
	list.Dir = module
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/walshift/walshift/"
	for name := range strings.Lines(string(out)) {
		if name = strings.TrimSpace(name); strings.HasPrefix(name, ours) && !strings.HasPrefix(name, ours+"test/redshift") {
			t.Errorf("it imports %s, which deploy/standin.Dockerfile.dockerignore leaves out", name)
		}
	}
}

// testCompose: the daemon of the image accepts the compose file's
// configuration, with its environment.
func (im *image) testCompose(t *testing.T) {
	c := readCompose(t)
	w := c.Services["walshift"]
	if len(w.Configs) != 1 || w.Configs[0].Target != config {
		t.Fatalf("the daemon's files: %+v", w.Configs)
	}
	text := strings.ReplaceAll(c.Configs[w.Configs[0].Source].Content, "$$", "$")
	text += "apply: {window: \"01:00-05:00 Europe/Berlin\"}\n" // time zones are in the binary: the image has none
	if err := os.WriteFile(filepath.Join(im.root, config), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var env []string
	for name, value := range w.Environment {
		env = append(env, name+"="+value)
	}
	if out, code := im.run(t, im.entry(t, "config", "--check"), env...); code != 0 {
		t.Errorf("exit code %d: %s", code, out)
	}
	if err := os.Remove(filepath.Join(im.root, config)); err != nil {
		t.Fatal(err)
	}
}

// TestComposeSource: the source's script prepares what the daemon needs.
func TestComposeSource(t *testing.T) {
	t.Parallel()
	pg := cluster.RunPostgres(t, cluster.PostgresConfig{})
	if out, err := pg.Psql(t.Context(), pg.SuperuserDSN("postgres"), readCompose(t).Configs["source.sql"].Content); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	side := world.Side{DSN: pg.DSN("walshift", "walshift-password", "postgres")}
	rows, err := side.Rows(t.Context(), "SELECT count(*), (SELECT string_agg(tablename, ',') FROM pg_publication_tables WHERE pubname = 'walshift_shop') FROM orders")
	if err != nil || len(rows) != 1 || !strings.Contains(rows[0], "1000") || !strings.Contains(rows[0], "orders") {
		t.Errorf("%q, %v", rows, err)
	}
}

// TestFolderIsABucket: the compose file makes its bucket by mkdir.
func TestFolderIsABucket(t *testing.T) {
	t.Parallel()
	server, err := cluster.StartS3(t.Context(), cluster.S3Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(filepath.Join(server.Dir(), "lake"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := func() error {
		_, err := server.Client().PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("lake"), Key: aws.String("a/b"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*"),
		})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if refused, ok := errors.AsType[smithy.APIError](put()); !ok || refused.ErrorCode() != "PreconditionFailed" {
		t.Errorf("the second object of this name: %v", refused)
	}
}
