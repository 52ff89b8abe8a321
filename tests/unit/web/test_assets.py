"""Static files: found, typed, addressed by content."""

from __future__ import annotations

import gzip
import json
import subprocess
from pathlib import Path

from webapp.assets import Assets, locate


def _tree(root: Path) -> Path:
    (root / "js").mkdir(parents=True)
    (root / "js" / "main.js").write_text("import './other.js';\n" * 50)
    (root / "icon.svg").write_text("<svg/>")
    (root / "README.md").write_text("not served")
    return root


def test_files_are_typed_and_compressed_where_it_helps(tmp_path: Path) -> None:
    assets = Assets(_tree(tmp_path))
    script = assets.get("js/main.js")
    assert script is not None
    assert script.media_type == "text/javascript"
    assert script.gzipped is not None
    assert gzip.decompress(script.gzipped) == script.body
    icon = assets.get("icon.svg")
    assert icon is not None
    assert icon.gzipped is None
    assert set(assets.files) == {"js/main.js", "icon.svg"}


def test_nothing_outside_the_tree_can_be_named(tmp_path: Path) -> None:
    assets = Assets(_tree(tmp_path / "static"))
    (tmp_path / "secret.txt").write_text("no")
    for path in ("../secret.txt", "/../secret.txt", "js/../../secret.txt", "", "js", "README.md"):
        assert assets.get(path) is None


def test_any_change_changes_every_address(tmp_path: Path) -> None:
    before = Assets(_tree(tmp_path))
    again = Assets(tmp_path)
    (tmp_path / "icon.svg").write_text("<svg></svg>")
    after = Assets(tmp_path)
    assert before.url("js/main.js") == again.url("js/main.js") != after.url("js/main.js")
    assert before.url("/js/main.js") == f"/static/{before.version}/js/main.js"


def test_the_products_own_directories_are_found() -> None:
    assert (locate("templates") / "base.html").is_file()
    assert locate("static").is_dir()


def test_browsers_get_scripts_without_comments(tmp_path: Path) -> None:
    source = '/** What it owns.\n * More. */\nlet a = /** @type {string} */ (b);\n  // why\n  go("//x");\n'
    (tmp_path / "main.js").write_text(source)
    script = Assets(tmp_path).get("main.js")
    assert script is not None
    assert script.body.decode() == 'let a=(b);go("//x");'


PARSE = """
import { createInterface } from "node:readline";
import { SourceTextModule } from "node:vm";
for await (const line of createInterface({ input: process.stdin })) {
  const [identifier, source] = JSON.parse(line);
  new SourceTextModule(source, { identifier });
  console.log(identifier);
}
"""


def test_every_script_is_still_a_module_as_served() -> None:
    scripts = {path: asset.body.decode() for path, asset in Assets(locate("static")).files.items()}
    ours = {path: source for path, source in scripts.items() if path.startswith("js/")}
    assert len(ours) > 50
    done = subprocess.run(
        ["node", "--experimental-vm-modules", "--no-warnings", "--input-type=module", "--eval", PARSE],
        input="".join(json.dumps(each) + "\n" for each in ours.items()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == list(ours)


def test_the_modules_of_a_page_are_all_that_it_imports(tmp_path: Path) -> None:
    sources = {
        "page/main": 'import { a } from "./a.js"; import "../b.js"; import("./later.js"); // from "./no.js"',
        "page/a": "export { c } from '../c.js';",
        "b": 'import { c } from "./c.js"; import { d } from "./deep/d.js";',
        "c": "export const c = 1;",
        "deep/d": 'import { c } from "../c.js";',
        "page/later": "",
        "page/no": "",
    }
    for name, source in sources.items():
        path = tmp_path / "js" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    wanted = [f"js/{name}.js" for name in ("page/main", "page/a", "b", "c", "deep/d")]
    assert Assets(tmp_path).modules("js/page/main.js") == wanted
