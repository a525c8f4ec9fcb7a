//go:build e2e

package e2e

import (
	"image"
	"image/color"
	_ "image/png" // what the browser writes
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// probe is added to a copy of the page: a script that writes down what the
// browser made of it.
const probe = `<script>
const shown = [...document.querySelectorAll("svg")].filter(e => e.getClientRects().length);
const text = shown.flatMap(s => [...s.querySelectorAll("text")].map(t => t.getBoundingClientRect().height));
const result = JSON.parse(document.getElementById("result").textContent);
document.body.dataset.probe = [
  "width", innerWidth, "overflow", document.documentElement.scrollWidth > innerWidth,
  "charts", shown.length, "small", text.filter(h => h < 9).length, "arms", result.arms.length,
].join(" ");
</script>`

// browser runs headless Chromium, whose profile is its own.
func browser(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(),
		"--host-resolver-rules=MAP * ~NOTFOUND", // whatever the page asks for is not there
	}, args...)
	cmd := exec.CommandContext(t.Context(), "chromium", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	stdout, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium (scripts/clients.sh installs it): %v", err)
	}
	return string(stdout)
}

// TestTheReportInABrowser saves a run and looks at its page as a reader would:
// on a desk and on a phone, light and dark.
func TestTheReportInABrowser(t *testing.T) {
	t.Parallel()
	c := start(t)
	dir := filepath.Join(t.TempDir(), "run")
	c.chronik(t, "bench", "acks-all", "--rate", "200", "--duration", "4s", "--warmup", "500ms", "--warmup-max", "500ms", "--acks", "all,1", "--out", dir)
	page := filepath.Join(dir, "report.html")
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	probed := filepath.Join(t.TempDir(), "probed.html")
	if err := os.WriteFile(probed, []byte(strings.Replace(string(html), "</body>", probe+"</body>", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Run("on a desk", func(t *testing.T) {
		t.Parallel()
		look(t, probed, "1000,900", "overflow false charts 4 small 0 arms 2")
	})
	t.Run("on a phone", func(t *testing.T) {
		t.Parallel()
		// A window of Chromium is not narrower than 500 pixels.
		look(t, probed, "500,900", "overflow false charts 4 small 0 arms 2")
	})
	t.Run("light and dark", func(t *testing.T) {
		t.Parallel()
		light, dark := shot(t, page), shot(t, page, "--blink-settings=preferredColorScheme=0")
		if luminance(light) < 200 || luminance(dark) > 60 {
			t.Errorf("the page is %d light and %d dark, of 255", luminance(light), luminance(dark))
		}
		if colours(light) < 20 || colours(dark) < 20 {
			t.Errorf("%d and %d colours: nothing is drawn", colours(light), colours(dark))
		}
	})
}

func look(t *testing.T, page, size, want string) {
	t.Helper()
	dom := browser(t, "--window-size="+size, "--dump-dom", "file://"+page)
	m := regexp.MustCompile(`data-probe="width \d+ ([^"]*)"`).FindStringSubmatch(dom)
	if m == nil || m[1] != want {
		t.Errorf("the browser found %q, want %q", m, want)
	}
}

func shot(t *testing.T, page string, args ...string) image.Image {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.png")
	browser(t, append(args, "--window-size=900,1200", "--screenshot="+file, "file://"+page)...)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// luminance of the page's corner, where there is only background.
func luminance(img image.Image) int {
	return int(color.GrayModel.Convert(img.At(3, 3)).(color.Gray).Y)
}

func colours(img image.Image) int {
	seen := map[color.Color]bool{}
	for y := 0; y < img.Bounds().Dy(); y += 2 {
		for x := 0; x < img.Bounds().Dx(); x += 2 {
			seen[img.At(x, y)] = true
		}
	}
	return len(seen)
}
