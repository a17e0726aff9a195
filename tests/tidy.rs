//! The house rules as a test: what the architecture asks of every file, checked instead of remembered.
//!
//! Each rule is a pure function from text to findings; `workspace_is_tidy` runs them over the repository,
//! and the tests at the end show each rule to fail on a bad sample.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "tidy/syntax.rs"]
mod syntax;

use std::fs;
use std::path::{Path, PathBuf};

use syntax::{check_syntax, enums_of};

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;
const ARGUMENTS: usize = 5;

/// Where `unsafe` may stand, and why.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    (
        "appliance/daemon/src/timekeeping.rs",
        "no crate lets the kernel's clock be asked how right it is (adjtimex)",
    ),
    (
        "ike/src/crypto/modp.rs",
        "AWS-LC offers constant-time exponentiation only through its C interface",
    ),
    (
        "ike/src/crypto/mlkem.rs",
        "AWS-LC takes octets that the caller drew for ML-KEM only through its C interface",
    ),
    (
        "ike/src/crypto/bare.rs",
        "AWS-LC verifies RSA without a hash only through its C interface",
    ),
    (
        "appliance/esp/src/tun.rs",
        "the TUN ioctls for offloads have no safe wrapper",
    ),
    (
        "appliance/keys/src/evp.rs",
        "AWS-LC signs with SHA-1 and reads PKCS#12 only through its C interface",
    ),
    (
        "tests/bench/src/scale/heap.rs",
        "the allocator's counters have no safe wrapper",
    ),
];

/// Where a test may wait on the clock, and why.
const SLEEP_ALLOWED: &[(&str, &str)] = &[
    (
        "tests/src/lab/wait.rs",
        "the one poll loop that every wait with a deadline goes through",
    ),
    (
        "tests/src/lab/flood.rs",
        "paces what it sends; nothing is concluded from the time that passed",
    ),
    (
        "tests/src/peer/key_vault/connection.rs",
        "a vault that answers as late as a test asks for",
    ),
    (
        "tests/src/lab/traffic.rs",
        "paces what it sends; nothing is concluded from the time that passed",
    ),
];

/// Where a function may take more arguments, and why.
const ARGUMENTS_ALLOWED: &[(&str, &str)] = &[(
    "appliance/cli/src/client/tls.rs",
    "rustls says what a function that checks certificates takes",
)];

/// Who may depend on whom inside the workspace: the architecture's diagram, arrows pointing down.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("ike", &[]),
    ("bgp", &[]),
    ("appliance-config", &[]),
    ("appliance-dhcp", &[]),
    ("appliance-nat", &[]),
    ("appliance-kernel", &["appliance-nat"]),
    ("appliance-esp", &[]),
    ("appliance-keys", &[]),
    ("image-slots", &[]),
    ("image-builder", &["image-slots"]),
    ("image-installer", &["image-slots"]),
    ("image-verifier", &["image-slots"]),
    (
        "causewayd",
        &[
            "ike",
            "bgp",
            "appliance-kernel",
            "appliance-esp",
            "appliance-keys",
            "appliance-config",
            "appliance-dhcp",
            "appliance-nat",
            "image-slots",
        ],
    ),
    ("causeway", &[]),
    ("system-tests", &[]),
    (
        "fuzz-targets",
        &[
            "ike",
            "bgp",
            "appliance-config",
            "appliance-dhcp",
            "appliance-esp",
            "appliance-kernel",
            "image-slots",
        ],
    ),
    (
        "system-bench",
        &[
            "bgp",
            "ike",
            "appliance-esp",
            "appliance-keys",
            "appliance-nat",
            "system-tests",
        ],
    ),
    ("xtask", &["system-tests"]),
];

/// Packages that hold no task and know no clock, and what they must therefore never depend on.
const PURE: &[&str] = &[
    "ike",
    "bgp",
    "appliance-config",
    "appliance-dhcp",
    "appliance-nat",
    "image-slots",
];
const RUNTIMES: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "async-executor",
    "mio",
    "futures-executor",
];

const HEADINGS: &[&str] = &[
    "## Purpose",
    "## Map",
    "## States",
    "## Standards",
    "## Decisions",
];
const TOP_FOLDERS: &[&str] = &["ike", "bgp", "appliance", "web-ui", "image", "tests"];

/// Words of unfinished work, written so that this file does not contain them.
const UNFINISHED: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

/// One breach of a rule: where, and what.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    place: String,
    what: String,
}

#[test]
fn workspace_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .canonicalize()
        .unwrap();
    let mut findings = Vec::new();
    let sources = files_below(&root, "rs");
    assert!(
        sources.len() > 20,
        "the walk found only {} source files",
        sources.len()
    );
    let parsed: Vec<(String, String, syn::File)> = sources
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let file = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            (relative(&root, path), text, file)
        })
        .collect();
    let enums = parsed.iter().flat_map(|(_, _, file)| enums_of(file)).collect();
    for (path, text, file) in &parsed {
        findings.extend(check_lines(path, text));
        findings.extend(check_syntax(path, file, &enums));
    }
    for path in console_sources(&root) {
        findings.extend(check_lines(
            &relative(&root, &path),
            &fs::read_to_string(&path).unwrap(),
        ));
    }
    for manifest in files_below(&root, "toml")
        .iter()
        .filter(|p| p.ends_with("Cargo.toml"))
    {
        let text = fs::read_to_string(manifest).unwrap();
        findings.extend(check_manifest(&relative(&root, manifest), &text));
        if text.contains("[package]") {
            findings.extend(check_readme_of(&root, manifest.parent().unwrap()));
        }
    }
    for folder in TOP_FOLDERS.iter().map(|f| root.join(f)).filter(|f| f.is_dir()) {
        findings.extend(check_readme_of(&root, &folder));
    }
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    findings.dedup();
    let report: String = findings
        .iter()
        .map(|f| format!("\n  {}: {}", f.place, f.what))
        .collect();
    assert!(
        findings.is_empty(),
        "{} breaches of the house rules:{report}",
        findings.len()
    );
}

/// All files with this extension that belong to the project: no build output, no hidden folder.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let kind = entry.file_type().unwrap();
        if name.starts_with('.') || name.starts_with("target") || name == "node_modules" {
            continue;
        }
        if kind.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What somebody wrote of the console: neither what is generated nor what is built.
fn console_sources(root: &Path) -> Vec<PathBuf> {
    let extensions = ["ts", "svelte", "mjs", "css"];
    let all = extensions
        .iter()
        .flat_map(|extension| files_below(&root.join("web-ui"), extension));
    let written = |path: &PathBuf| {
        let path = path.to_string_lossy();
        !path.contains("/dist/") && !path.ends_with(".gen.ts")
    };
    all.filter(written).collect()
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().display().to_string()
}

/// A file that only holds tests: an integration test, or a test module beside the code.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.contains("/tests/")
        || path.starts_with("tests/interop/")
        || path.starts_with("tests/upgrade/")
}

fn check_lines(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let code = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count();
    if code > FILE_LINES && !path.ends_with("/tests.rs") {
        let what = format!("{code} lines before its tests, more than {FILE_LINES}");
        findings.push(Finding {
            place: path.to_owned(),
            what,
        });
    }
    for (number, line) in text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            let place = format!("{path}:{}", number + 1);
            findings.push(Finding {
                place,
                what: format!("unfinished work: {word}"),
            });
        }
    }
    findings
}

/// Dependencies between our own packages point down, and the pure ones know no runtime.
fn check_manifest(path: &str, text: &str) -> Vec<Finding> {
    let manifest: toml::Table = text.parse().unwrap();
    let mut findings = Vec::new();
    let Some(package) = manifest
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(|n| n.as_str())
    else {
        return findings;
    };
    let mut breach = |what: String| {
        findings.push(Finding {
            place: path.to_owned(),
            what,
        })
    };
    let Some((_, allowed)) = MAY_DEPEND.iter().find(|(name, _)| *name == package) else {
        breach(format!("package {package} is not in the architecture's diagram"));
        return findings;
    };
    for name in dependencies(&manifest) {
        let ours = MAY_DEPEND.iter().any(|(other, _)| *other == name);
        if ours && !allowed.contains(&name.as_str()) {
            breach(format!("{package} may not depend on {name}"));
        }
        if PURE.contains(&package) && RUNTIMES.contains(&name.as_str()) {
            breach(format!("{package} is pure and may not depend on {name}"));
        }
    }
    findings
}

/// Names of all dependencies that end up in the product, for any target.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let targets = manifest
        .get("target")
        .and_then(|t| t.as_table())
        .into_iter()
        .flatten();
    let tables = targets
        .filter_map(|(_, table)| table.as_table())
        .chain(std::iter::once(manifest));
    tables
        .filter_map(|table| table.get("dependencies").and_then(|d| d.as_table()))
        .flat_map(|table| {
            table.iter().map(|(name, value)| {
                value
                    .get("package")
                    .and_then(|p| p.as_str())
                    .unwrap_or(name)
                    .to_owned()
            })
        })
        .collect()
}

fn check_readme_of(root: &Path, folder: &Path) -> Vec<Finding> {
    let place = relative(root, &folder.join("README.md"));
    if folder == root {
        return Vec::new();
    }
    match fs::read_to_string(folder.join("README.md")) {
        Ok(text) => check_readme(&place, &text),
        Err(_) => vec![Finding {
            place,
            what: "missing".to_owned(),
        }],
    }
}

fn check_readme(place: &str, text: &str) -> Vec<Finding> {
    let missing = HEADINGS
        .iter()
        .filter(|heading| !text.lines().any(|line| line.trim_end() == **heading));
    missing
        .map(|h| Finding {
            place: place.to_owned(),
            what: format!("lacks the heading {h}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, source: &str) -> Vec<String> {
        let file = syn::parse_file(source).unwrap();
        let enums = enums_of(&file);
        let mut found = check_lines(path, source);
        found.extend(check_syntax(path, &file, &enums));
        found
            .into_iter()
            .map(|f| format!("{}: {}", f.place, f.what))
            .collect()
    }

    fn assert_found(path: &str, source: &str, expected: &str) {
        let found = findings(path, source);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?} lacks {expected}");
    }

    #[test]
    fn good_code_has_no_findings() {
        let source = "enum A { B, C }\nfn f(a: A) -> u8 { match a { A::B => 1, A::C => 2 } }\n";
        assert_eq!(findings("ike/src/a.rs", source), Vec::<String>::new());
    }

    #[test]
    fn long_file_is_found_and_its_tests_do_not_count() {
        let code = "// line\n".repeat(FILE_LINES + 1);
        assert_found("ike/src/a.rs", &code, "501 lines");
        let tests = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(findings("ike/src/a.rs", &tests), Vec::<String>::new());
    }

    #[test]
    fn long_function_is_found_wherever_it_stands() {
        let body = "let a = 1;\n".repeat(FUNCTION_LINES - 1);
        assert_found(
            "ike/src/a.rs",
            &format!("fn f() {{\n{body}}}\n"),
            "fn f has 61 lines",
        );
        assert_found(
            "ike/src/a.rs",
            &format!("impl A {{ fn f() {{\n{body}}} }}\n"),
            "fn f has 61 lines",
        );
        assert_found(
            "ike/src/a.rs",
            &format!("trait A {{ fn f() {{\n{body}}} }}\n"),
            "fn f has 61 lines",
        );
    }

    #[test]
    fn sixth_argument_is_found() {
        assert_found(
            "ike/src/a.rs",
            "fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8) {}",
            "takes 6 arguments",
        );
        let source = "impl A for B { fn f(a: u8, b: u8, c: u8, d: u8, e: u8, g: u8) {} }";
        assert_found("ike/src/a.rs", source, "takes 6 arguments");
        let allowed = findings("appliance/cli/src/client/tls.rs", source);
        assert_eq!(allowed, Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_found_outside_the_named_files() {
        assert_found("ike/src/a.rs", "fn f() { unsafe { g() } }", "unsafe");
        assert_found("ike/src/a.rs", "unsafe fn f() {}", "unsafe");
        assert_found("ike/src/a.rs", "unsafe impl Send for A {}", "unsafe");
        let allowed = findings("ike/src/crypto/modp.rs", "fn f() { unsafe { g() } }");
        assert_eq!(allowed, Vec::<String>::new());
    }

    #[test]
    fn unfinished_work_is_found() {
        assert_found(
            "ike/src/a.rs",
            concat!("// TO", "DO later\n"),
            concat!("TO", "DO"),
        );
        assert_found("ike/src/a.rs", concat!("fn f() { to", "do!() }"), "work not done");
        assert_found(
            "ike/src/a.rs",
            concat!("fn f() { unimpl", "emented!() }"),
            "work not done",
        );
        assert_found("ike/src/a.rs", "#[ignore]\n#[test]\nfn f() {}", "ignored test");
    }

    #[test]
    fn sleeping_test_is_found() {
        assert_found(
            "ike/tests/pair/loss.rs",
            "fn f() { std::thread::sleep(d); }",
            "sleeps",
        );
        assert_found(
            "ike/src/a.rs",
            "#[cfg(test)] mod tests { fn f() { sleep(d); } }",
            "sleeps",
        );
        let product = findings("appliance/daemon/src/a.rs", "async fn f() { sleep(d).await; }");
        assert_eq!(product, Vec::<String>::new());
    }

    #[test]
    fn wildcard_on_own_enum_is_found() {
        let source = "enum A { B, C }\nfn f(a: &A) { match a { A::B => 1, _ => 2 }; }\n";
        assert_found("ike/src/a.rs", source, "our own enum A");
        let inside = "enum A { B, C }\nimpl A { fn f(&self) { match self { Self::B => 1, _ => 2 }; } }\n";
        assert_found("ike/src/a.rs", inside, "our own enum A");
        let foreign = "fn f(a: Option<u8>) { match a { Option::Some(1) => 1, _ => 2 }; }\n";
        assert_eq!(findings("ike/src/a.rs", foreign), Vec::<String>::new());
    }

    #[test]
    fn code_in_an_introducing_file_is_found() {
        assert_found("ike/src/lib.rs", "mod a;\nfn f() {}\n", "only introduces");
        assert_found("ike/src/v2/mod.rs", "mod a;\nstruct A;\n", "only introduces");
    }

    #[test]
    fn upward_and_sideways_dependencies_are_found() {
        let found = |text: &str| check_manifest("x/Cargo.toml", text).len();
        assert_eq!(
            found("[package]\nname = 'ike'\n[dependencies]\nappliance-esp = '1'\n"),
            1
        );
        assert_eq!(
            found("[package]\nname = 'appliance-kernel'\n[dependencies]\nike = '1'\n"),
            1
        );
        assert_eq!(
            found("[package]\nname = 'ike'\n[dependencies]\nx = { package = 'causewayd' }\n"),
            1
        );
        assert_eq!(
            found("[package]\nname = 'ike'\n[target.'cfg(unix)'.dependencies]\nbgp = '1'\n"),
            1
        );
        assert_eq!(
            found("[package]\nname = 'causewayd'\n[dependencies]\nike = '1'\nappliance-esp = '1'\n"),
            0
        );
        assert_eq!(found("[package]\nname = 'common'\n"), 1);
    }

    #[test]
    fn runtime_in_a_pure_package_is_found() {
        let found = |text: &str| check_manifest("x/Cargo.toml", text).len();
        assert_eq!(found("[package]\nname = 'ike'\n[dependencies]\ntokio = '1'\n"), 1);
        assert_eq!(
            found("[package]\nname = 'appliance-kernel'\n[dependencies]\ntokio = '1'\n"),
            0
        );
    }

    #[test]
    fn readme_without_a_heading_is_found() {
        let complete = HEADINGS.join("\n\ntext\n\n");
        assert_eq!(check_readme("ike/README.md", &complete), Vec::new());
        assert_eq!(
            check_readme("ike/README.md", &complete.replace("## States", "## State")).len(),
            1
        );
    }
}
