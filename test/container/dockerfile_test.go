package container_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of a Dockerfile, continuations joined.
type instruction struct {
	op    string
	flags map[string]string
	rest  string
}

// form is the exec form of an instruction's text, and false for the shell's.
func (i *instruction) form() ([]string, bool) {
	var args []string
	err := json.Unmarshal([]byte(strings.TrimPrefix(i.rest, "CMD ")), &args)
	return args, err == nil && len(args) > 0
}

// stage is what stands between two FROMs.
type stage struct {
	base, name string
	lines      []instruction
}

// last returns the last instruction of a kind, which is the one that counts.
func (s *stage) last(t *testing.T, op string) instruction {
	t.Helper()
	for _, i := range slices.Backward(s.lines) {
		if i.op == op {
			return i
		}
	}
	t.Fatalf("the Dockerfile's last stage has no %s", op)
	return instruction{}
}

func parseDockerfile(t *testing.T, file string) []stage {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var stages []stage
	whole := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part, more := strings.CutSuffix(line, `\`)
		whole += part
		if more {
			continue
		}
		i := instruction{flags: map[string]string{}}
		i.op, i.rest, _ = strings.Cut(whole, " ")
		for whole = ""; strings.HasPrefix(strings.TrimSpace(i.rest), "--"); {
			flag, rest, _ := strings.Cut(strings.TrimSpace(i.rest), " ")
			name, value, _ := strings.Cut(flag[2:], "=")
			i.flags[name], i.rest = value, rest
		}
		i.rest = strings.TrimSpace(i.rest)
		if i.op != "FROM" {
			if len(stages) == 0 {
				t.Fatalf("%s stands before FROM", i.op)
			}
			stages[len(stages)-1].lines = append(stages[len(stages)-1].lines, i)
			continue
		}
		base, name, _ := strings.Cut(i.rest, " AS ")
		stages = append(stages, stage{base: base, name: name})
	}
	return stages
}

// image is the file tree that a Dockerfile makes.
type image struct {
	root string
	last *stage
}

// build makes the image's tree as the Dockerfile says. The stage that compiles
// runs its commands here, with this machine's Go and certificates in the place
// of the base image's: its folders /src and /image become temporary ones.
func build(t *testing.T, module string) *image {
	t.Helper()
	stages := parseDockerfile(t, filepath.Join(module, "Dockerfile"))
	if len(stages) != 2 || stages[1].base != "scratch" {
		t.Fatalf("want a stage that builds and one from scratch, got %+v", stages)
	}
	work := t.TempDir()
	src := filepath.Join(work, "src")
	copyContext(t, module, src)
	env := append(os.Environ(), "VERSION=test")
	for _, i := range stages[0].lines {
		switch i.op {
		case "WORKDIR", "COPY": // the whole context is there
		case "ARG":
			name, value, _ := strings.Cut(i.rest, "=")
			if name != "VERSION" {
				env = append(env, name+"="+value)
			}
		case "RUN":
			if i.rest == "go mod download" { // to cache a layer; the modules are here
				continue
			}
			script := regexp.MustCompile(`/image\b`).ReplaceAllLiteralString(i.rest, work+"/image")
			cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
			cmd.Dir, cmd.Env = src, env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", i.rest, err, out)
			}
		default:
			t.Fatalf("this test can't do %s in the stage that builds", i.op)
		}
	}
	im := &image{root: filepath.Join(work, "root"), last: &stages[1]}
	for _, i := range im.last.lines {
		switch i.op {
		case "COPY":
			from, to, _ := strings.Cut(i.rest, " ")
			if i.flags["from"] != stages[0].name {
				t.Fatalf("this test can't do COPY %v %s", i.flags, i.rest)
			}
			copyTree(t, filepath.Join(work, from), filepath.Join(im.root, to))
			if owner := i.flags["chown"]; owner != "" && os.Geteuid() == 0 {
				im.give(t, to, owner)
			}
		case "ARG", "VOLUME", "LABEL", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "ENV":
		default:
			t.Fatalf("%s has nothing to run on in a stage from scratch, or belongs into the other", i.op)
		}
	}
	return im
}

// give makes somebody, by numbers, the owner of a folder.
func (im *image) give(t *testing.T, dir, owner string) {
	t.Helper()
	var uid, gid int
	if _, err := fmt.Sscanf(owner, "%d:%d", &uid, &gid); err != nil {
		t.Fatalf("COPY --chown=%s: %v", owner, err)
	}
	if err := os.Chown(filepath.Join(im.root, dir), uid, gid); err != nil {
		t.Fatal(err)
	}
}

// copyContext copies what a build gets to see: what .dockerignore leaves of
// the module.
func copyContext(t *testing.T, module, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(module, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	ignored := func(name string) bool {
		out := false
		for pattern := range strings.Lines(string(text)) {
			pattern = strings.TrimSpace(pattern)
			keep := strings.HasPrefix(pattern, "!")
			if pattern != "" && !strings.HasPrefix(pattern, "#") && matches(strings.TrimPrefix(pattern, "!"), name) {
				out = !keep
			}
		}
		return out
	}
	err = filepath.WalkDir(module, func(file string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(module, file)
		switch {
		case err != nil:
			return nil //nolint:nilerr // other tests make and remove files
		case d.IsDir() && (name == ".git" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || ignored(name):
			return nil
		}
		return copyFile(file, filepath.Join(to, name))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// matches is .dockerignore's idea of a pattern: it holds for everything below
// a folder, and ** for any number of them.
func matches(pattern, name string) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.NewReplacer(`\*\*/`, `(.*/)?`, `\*`, `[^/]*`).Replace(expression)
	return regexp.MustCompile("^" + expression + "(/.*)?$").MatchString(name)
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(from, file)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		return copyFile(file, filepath.Join(to, name))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// tree lists the files of the image, with size and time of change: whatever
// writes to it changes the list.
func (im *image) tree(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(im.root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == im.root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(im.root, file)
		if d.IsDir() {
			name += "/"
		}
		list = append(list, fmt.Sprintf("/%s %d %s", name, info.Size(), info.ModTime()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// names are the list's names.
func names(tree []string) []string {
	out := make([]string, len(tree))
	for i, line := range tree {
		out[i], _, _ = strings.Cut(line, " ")
	}
	return out
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "go.mod", true},
		{"*", "cmd/walshift/main.go", true},
		{"cmd", "cmd/walshift/main.go", true},
		{"cmd", "cmdx", false},
		{"**/*_test.go", "a_test.go", true},
		{"**/*_test.go", "a/b/c_test.go", true},
		{"**/*_test.go", "a/b.go", false},
		{"**/testdata", "a/testdata/x", true},
		{path.Join("a", "*.go"), "a/b/c.go", false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("%s, %s: %t", c.pattern, c.name, got)
		}
	}
}
