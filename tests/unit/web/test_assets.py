"""Static files: found, typed, addressed by content."""

from __future__ import annotations

import gzip
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


def test_every_script_is_still_a_module_as_served(tmp_path: Path) -> None:
    for path, asset in Assets(locate("static")).files.items():
        if path.startswith("js/"):
            (tmp_path / f"{Path(path).stem}.mjs").write_bytes(asset.body)
    modules = sorted(tmp_path.glob("*.mjs"))
    assert modules
    for module in modules:
        done = subprocess.run(["node", "--check", module], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_modules_of_a_page_are_all_that_it_imports(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    sources = {
        "main": 'import { a } from "./a.js";\nimport "./b.js"; // from "./said.js"\nimport("./later.js");',
        "a": "export { c } from './c.js';",
        "b": 'import { c } from "./c.js";\nimport { a } from "./a.js";',
        "c": "export const c = 1;",
        "later": "",
        "said": "",
    }
    for name, source in sources.items():
        (tmp_path / "js" / f"{name}.js").write_text(source)
    assert Assets(tmp_path).modules("js/main.js") == [f"js/{name}.js" for name in ("main", "a", "b", "c")]
