//! The README says what is true.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use skep::config::Setting;
use skep::engine::cli::Dialect;
use skep::engine::settings::EngineKind;
use skep::guard::{DEVICES, HOME, SYSTEM};

const BEGIN: &str =
    "<!-- settings: generated; run the tests with SKEP_UPDATE_README=1 after a change -->\n";
const END: &str = "<!-- /settings -->";
const LISTS_BEGIN: &str = "<!-- lists: generated likewise -->\n";
const LISTS_END: &str = "<!-- /lists -->";

/// The table of settings is the one that the program reads, and the lists of confinement are those it hands over.
#[test]
fn the_settings_and_lists_of_the_readme_are_those_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let mut readme = std::fs::read_to_string(&path).unwrap();
    for (begin, end, expected) in [(BEGIN, END, settings()), (LISTS_BEGIN, LISTS_END, lists())] {
        let (before, rest) = readme.split_once(begin).expect("the place of it");
        let (said, after) = rest.split_once(end).expect("its end");
        if std::env::var_os("SKEP_UPDATE_README").is_some() {
            readme = format!("{before}{begin}{expected}{end}{after}");
            std::fs::write(&path, &readme).unwrap();
        } else {
            assert_eq!(
                said, expected,
                "run the tests once with SKEP_UPDATE_README=1"
            );
        }
    }
}

/// What may be read and run, and what may be written, without any setting.
fn lists() -> String {
    let code = |paths: &[String]| {
        let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
        paths.join(", ")
    };
    let system = code(&SYSTEM.map(str::to_owned));
    let home = code(&HOME.map(|path| format!("~/{path}")));
    let devices = code(&DEVICES.map(str::to_owned));
    let env = BTreeMap::from([("HOME".to_owned(), "~".to_owned())]);
    let own = [
        ("claude", EngineKind::Claude),
        ("codex", EngineKind::Codex),
        ("opencode", EngineKind::Opencode),
        ("gemini", EngineKind::Gemini),
    ]
    .map(|(name, kind)| {
        let own = (Dialect::of(kind).unwrap().own)(&env);
        let own: Vec<String> = own.iter().map(|path| path.display().to_string()).collect();
        format!("{name}: {}", code(&own))
    });
    format!(
        "| list | what |\n|---|---|\n\
         | read and run | {system} |\n\
         | the same, of the home directory | {home} |\n\
         | write, too | the work directory, its own temporary one; devices: {devices} |\n\
         | its own configuration | {} |\n",
        own.join("; ")
    )
}

/// `[limits]` and `[rate_limit]` are many and rarely touched: they fold.
fn settings() -> String {
    let all = skep::config::documented();
    let (more, main): (Vec<_>, Vec<_>) = all.iter().partition(|setting| setting.key.contains('.'));
    format!(
        "{}\n<details><summary>Limits</summary>\n\n{}\n</details>\n",
        table(&main),
        table(&more)
    )
}

fn table(rows: &[&Setting]) -> String {
    let mut text =
        "| setting | default | environment, flag | what |\n|---|---|---|---|\n".to_owned();
    for Setting {
        key,
        default,
        env,
        flag,
        doc,
        ..
    } in rows
    {
        let flag = flag.map(|flag| format!(", `{flag}`")).unwrap_or_default();
        let default = if default.is_empty() {
            ""
        } else {
            &format!("`{default}`")
        };
        let doc = doc.trim().replace('|', "\\|");
        writeln!(text, "| `{key}` | {default} | `{env}`{flag} | {doc} |").unwrap();
    }
    text
}

/// The pages that users are told of, and where they are.
const PAGES: [&str; 3] = ["README.md", "src/engine/README.md", "src/api/README.md"];

/// The heading that a link's `#part` means, as it is made of a heading's text.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

/// What one page promises to tell on another one stands there.
#[test]
fn links_between_the_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut followed = 0;
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => root.join(page),
                file => root.join(page).parent().unwrap().join(file),
            };
            let there = std::fs::read(&file);
            let there = there.unwrap_or_else(|error| panic!("{page}: {target}: {error}"));
            let there = String::from_utf8_lossy(&there);
            let mut headings = there.lines().filter(|line| line.starts_with('#'));
            assert!(
                part.is_empty() || headings.any(|heading| anchor(heading) == part),
                "{page}: {target}"
            );
            followed += 1;
        }
    }
    assert!(followed >= 8, "{followed} links were found");
}
