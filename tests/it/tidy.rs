//! House rules that a machine can see, so that `cargo test` is the whole gate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Longer ones hold a second subject; these are tables of cases, or one subject that does not part.
const LONG_FILES: [&str; 4] = [
    "src/journal/tests.rs",
    "src/disk/faulty.rs",
    "src/engine/builtin/tests.rs",
    "src/http/tests.rs",
];
const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every source by its path from the root, without what only tests see and without comments.
fn sources() -> BTreeMap<String, String> {
    let texts: BTreeMap<PathBuf, String> = files_under("src", "rs")
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect();
    let for_tests: Vec<PathBuf> = texts
        .iter()
        .flat_map(|(path, text)| modules_for_tests(path, text))
        .collect();
    let mut sources = BTreeMap::new();
    for (path, text) in texts {
        if for_tests.contains(&path) {
            continue;
        }
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let code = code
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        sources.insert(name.to_owned(), code.collect::<Vec<_>>().join("\n"));
    }
    assert!(sources.len() > 50, "the sources are where they were");
    sources
}

/// The files of `#[cfg(test)] mod name;`.
fn modules_for_tests(path: &Path, text: &str) -> Vec<PathBuf> {
    let is_folder = path.ends_with("mod.rs") || path.ends_with("lib.rs");
    let folder = if is_folder {
        path.parent().unwrap().to_owned()
    } else {
        path.with_extension("")
    };
    let declared = text.split("#[cfg(test)]\n").skip(1);
    let names = declared.filter_map(|rest| {
        let line = rest.lines().next()?.trim_start_matches("pub(crate) ");
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    names
        .map(|name| folder.join(name).with_extension("rs"))
        .collect()
}

/// Whether a word stands there by itself.
fn names(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].chars().next_back().is_some_and(is_part)
            && !code[at + word.len()..].chars().next().is_some_and(is_part)
    })
}

/// Checks that only files under these places say this.
fn only(places: &[&str], says: impl Fn(&str) -> bool, rule: &str) {
    let sources = sources();
    let breaking: Vec<&String> = sources
        .iter()
        .filter(|(name, code)| !places.iter().any(|place| name.starts_with(place)) && says(code))
        .map(|(name, _)| name)
        .collect();
    assert!(breaking.is_empty(), "{rule}: {breaking:?}");
    let keeps = |place: &&&str| {
        sources
            .iter()
            .any(|(name, code)| name.starts_with(**place) && says(code))
    };
    assert!(
        places.iter().any(|place| keeps(&place)),
        "{rule}: nobody says it any more, so the rule checks nothing"
    );
}

#[test]
fn only_the_codec_names_bincode() {
    only(
        &["src/store/codec.rs"],
        |code| names(code, "bincode"),
        "values are encoded in one file",
    );
}

#[test]
fn only_the_store_and_the_search_index_name_redb() {
    only(
        &["src/store/", "src/search/"],
        |code| code.contains("redb::"),
        "tables are the store's, but for the search index, which is a file of its own",
    );
}

#[test]
fn only_the_guard_starts_processes() {
    let starts = |code: &str| code.contains("Command::new(") && names(code, "spawn");
    only(
        &["src/guard/", "src/cli/serve.rs", "src/cli/bench/"],
        starts,
        "engines run under the guard",
    );
    let is_in_library = |code: &str| code.contains("process::Command");
    only(
        &["src/guard/", "src/cli/"],
        is_in_library,
        "engines run under the guard",
    );
}

#[test]
fn only_the_journal_begins_write_transactions() {
    only(
        &["src/journal/", "src/store/mod.rs", "src/search/index.rs"],
        |code| code.contains("begin_write("),
        "one write path",
    );
}

#[test]
fn changes_are_deterministic() {
    for (name, code) in sources()
        .iter()
        .filter(|(name, _)| name.starts_with("src/command/"))
    {
        for forbidden in [
            "SystemTime",
            "Instant",
            "getrandom",
            "now_v7",
            "std::fs",
            "std::env",
            "HashMap",
            "tokio",
        ] {
            assert!(
                !names(code, forbidden) && !code.contains(&format!("{forbidden}::")),
                "{name} uses {forbidden}"
            );
        }
    }
}

/// An arrow the other way is a design question.
#[test]
fn dependencies_point_one_way() {
    for (folder, never) in [
        (
            "src/model/",
            vec![
                "store",
                "journal",
                "api",
                "http",
                "supervisor",
                "engine",
                "feed",
                "command",
                "app",
            ],
        ),
        (
            "src/command/",
            vec![
                "journal",
                "api",
                "http",
                "supervisor",
                "engine",
                "feed",
                "app",
                "config",
            ],
        ),
        (
            "src/store/",
            vec![
                "journal",
                "api",
                "http",
                "supervisor",
                "engine",
                "feed",
                "app",
                "config",
                "command",
            ],
        ),
        (
            "src/journal/",
            vec![
                "api",
                "http",
                "supervisor",
                "engine",
                "feed",
                "app",
                "config",
            ],
        ),
        (
            "src/feed/",
            vec![
                "journal",
                "api",
                "http",
                "supervisor",
                "engine",
                "app",
                "config",
            ],
        ),
        (
            "src/http/",
            vec![
                "store",
                "journal",
                "api",
                "supervisor",
                "engine",
                "feed",
                "model",
                "command",
                "app",
            ],
        ),
        (
            "src/search/",
            vec![
                "journal",
                "command",
                "api",
                "http",
                "supervisor",
                "engine",
                "app",
                "config",
            ],
        ),
        ("src/engine/", vec!["api", "http", "supervisor", "app"]),
        ("src/supervisor/", vec!["api", "http", "app"]),
        (
            "src/execution_log/",
            vec![
                "store",
                "journal",
                "api",
                "http",
                "supervisor",
                "engine",
                "app",
            ],
        ),
    ] {
        for (name, code) in sources()
            .iter()
            .filter(|(name, _)| name.starts_with(folder))
        {
            for module in &never {
                assert!(
                    !code.contains(&format!("crate::{module}::")),
                    "{name} knows {module}"
                );
            }
        }
    }
}

#[test]
fn nothing_from_outside_is_unwrapped() {
    for (name, code) in sources() {
        for word in [".unwrap()", "todo!(", "unimplemented!(", "dbg!("] {
            assert!(!code.contains(word), "{name} says {word}");
        }
    }
}

#[test]
fn files_hold_one_subject() {
    for folder in ["src", "tests"] {
        for path in files_under(folder, "rs") {
            let name = path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            let may_be_long = folder == "tests" || LONG_FILES.contains(&name.as_str());
            assert!(
                lines <= LINES_MAX || may_be_long,
                "{name} has {lines} lines: name its second subject and move it"
            );
        }
    }
    for name in LONG_FILES {
        assert!(
            root().join(name).exists(),
            "{name} is gone; take it off the list"
        );
    }
}

#[test]
fn every_folder_says_what_it_owns() {
    for (name, _) in sources()
        .iter()
        .filter(|(name, _)| name.ends_with("/mod.rs"))
    {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        let head: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .collect();
        let head = head.join(" ").to_lowercase();
        assert!(
            head.contains("start reading at"),
            "{name}: where to start reading"
        );
        assert!(head.contains("own"), "{name}: what it owns");
    }
}

/// The files that a module of the console names after `word`, without the quote: `from ` or `import(`.
fn named_modules(module: &Path, word: &str) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(module).unwrap();
    let folder = module.parent().unwrap();
    text.split(&format!("{word}'"))
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .filter(|name| name.starts_with('.'))
        .map(|name| folder.join(name).canonicalize().unwrap())
        .collect()
}

/// One round trip: whatever the first page needs is named in it. What comes later is named where it is gone to.
#[test]
fn the_console_is_loaded_at_once_but_for_pages_that_come_later() {
    let page = std::fs::read_to_string(root().join("assets/index.html")).unwrap();
    let assets = root().join("assets").canonicalize().unwrap();
    let modules: Vec<PathBuf> = files_under("assets/js", "js")
        .iter()
        .map(|path| path.canonicalize().unwrap())
        .collect();
    let is_at_once = |path: &Path| {
        let url = format!("/{}", path.strip_prefix(&assets).unwrap().to_str().unwrap());
        page.contains(&format!("rel=\"modulepreload\" href=\"{url}\""))
            || page.contains(&format!("src=\"{url}\""))
    };
    let (at_once, later): (Vec<&PathBuf>, Vec<&PathBuf>) =
        modules.iter().partition(|path| is_at_once(path));
    for module in &at_once {
        for needed in named_modules(module, "from ") {
            assert!(
                is_at_once(&needed),
                "{} needs {}, which is not in index.html",
                module.display(),
                needed.display()
            );
        }
    }
    for module in later {
        let is_reached = modules.iter().any(|other| {
            ["from ", "import("]
                .iter()
                .any(|word| named_modules(other, word).contains(module))
        });
        assert!(is_reached, "nothing loads {}", module.display());
    }
    for url in page
        .split("href=\"/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(
            url.is_empty() || assets.join(url).exists(),
            "{url} does not exist"
        );
    }
}

/// The server sends it whole; what it does not import would be a file for nobody.
#[test]
fn the_console_has_one_style_sheet_made_of_all() {
    let console = root().join("assets/css/console.css");
    let sheet = std::fs::read_to_string(&console).unwrap();
    let imported: Vec<&str> = sheet
        .lines()
        .filter_map(|line| line.strip_prefix("@import \"")?.strip_suffix("\";"))
        .collect();
    let mut sorted = imported.clone();
    sorted.sort_unstable();
    let mut there: Vec<String> = files_under("assets/css", "css")
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "console.css")
        .collect();
    there.sort_unstable();
    assert_eq!(sorted, there);
    let page = std::fs::read_to_string(root().join("assets/index.html")).unwrap();
    assert_eq!(page.matches("rel=\"stylesheet\"").count(), 1);
}

/// No inline code, and nothing from elsewhere: the policy forbids it, so it would not even run.
#[test]
fn the_console_keeps_to_its_own_policy() {
    let mut files = files_under("assets", "js");
    files.extend(files_under("assets", "html"));
    files.extend(files_under("assets", "css"));
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        for word in [
            "eval(",
            "new Function",
            "style=\"",
            "onclick=\"",
            "onload=\"",
            "@import url(\"http",
            "src=\"http",
        ] {
            assert!(!text.contains(word), "{name} says {word}");
        }
    }
}

/// The sentences of a table of strings by their keys.
fn sentences(path: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut key = None;
    for line in text.lines() {
        let quoted = line
            .strip_prefix("  '")
            .and_then(|rest| rest.split_once("':"));
        if let Some((name, rest)) = quoted {
            assert!(
                found
                    .insert(name.to_owned(), rest.trim().to_owned())
                    .is_none(),
                "{path}: {name} twice"
            );
            key = Some(name.to_owned());
        } else if line.starts_with("    ")
            && let Some(key) = &key
        {
            found.get_mut(key).unwrap().push_str(line.trim());
        } else {
            key = None;
        }
    }
    found
}

/// What is not translated yet is said in English; that must stay the exception.
#[test]
fn languages_say_the_same() {
    /// Sentences that may wait for their translation, or for their removal.
    const DIFFERENT_MAX: usize = 60;
    let english = sentences("assets/js/strings.js");
    assert!(english.len() > 500, "the table is where it was");
    let placeholders = |text: &str| -> Vec<String> {
        let mut names: Vec<String> = text
            .split('{')
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()))
            .collect();
        names.sort();
        names
    };
    for path in files_under("assets/lang", "js") {
        let name = path
            .strip_prefix(root())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let table = sentences(&name);
        for (key, text) in &table {
            let Some(original) = english.get(key) else {
                continue;
            };
            let is_function = |text: &str| text.starts_with('(');
            assert_eq!(is_function(text), is_function(original), "{name}: {key}");
            if !is_function(text) {
                assert_eq!(placeholders(text), placeholders(original), "{name}: {key}");
            }
        }
        let lacks = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<String> {
            a.keys()
                .filter(|key| !b.contains_key(*key))
                .cloned()
                .collect()
        };
        let (missing, gone) = (lacks(&english, &table), lacks(&table, &english));
        assert!(
            missing.len() + gone.len() <= DIFFERENT_MAX,
            "{name} lacks {missing:#?} and still has {gone:#?}"
        );
    }
}

/// What nobody says any more need not be translated. A key is said as it is, or by a template that begins like it.
#[test]
fn every_sentence_is_said() {
    let mut said = String::new();
    for path in files_under("assets/js", "js") {
        if !path.ends_with("strings.js") {
            said.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let templates: Vec<&str> = said
        .split('`')
        .filter_map(|text| Some(text.split_once("${")?.0))
        .filter(|begin| begin.contains('.'))
        .collect();
    let unsaid: Vec<String> = sentences("assets/js/strings.js")
        .into_keys()
        .filter(|key| !said.contains(&format!("'{key}'")))
        .filter(|key| !templates.iter().any(|begin| key.starts_with(begin)))
        .collect();
    assert!(unsaid.is_empty(), "nothing says {unsaid:#?}");
}
