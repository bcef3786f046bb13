//! Where a path leads once its links are followed.
//!
//! For judging what is asked for, not for opening it: that is `beneath`'s, and what an engine opens is the kernel's.

use std::path::{Component, Path, PathBuf};

use crate::model::limits::PATH_BYTES_MAX;

/// Whether a path, which may be relative to it, leads into a directory. What does not exist yet is where its parent is; a
/// link to nothing leads nowhere.
pub fn is_inside(directory: &Path, path: &Path) -> bool {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return false;
    }
    let Ok(directory) = directory.canonicalize() else {
        return false;
    };
    resolved(&directory.join(path)).is_some_and(|real| real.starts_with(directory))
}

/// The path without links.
fn resolved(path: &Path) -> Option<PathBuf> {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).ok()?;
            let is_plain = rest
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            return is_plain.then(|| real.join(rest));
        }
        // It is there and leads nowhere, or not to where this process may look.
        if ancestor.symlink_metadata().is_ok() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_is_where_its_links_lead() {
        let directory = tempfile::tempdir().unwrap();
        let work = directory.path().join("work");
        std::fs::create_dir_all(work.join("sub")).unwrap();
        std::fs::create_dir(directory.path().join("out")).unwrap();
        for (target, name) in [
            ("../out", "link"),
            ("sub", "inner"),
            ("../nowhere", "dangling"),
            ("loop", "loop"),
        ] {
            std::os::unix::fs::symlink(target, work.join(name)).unwrap();
        }
        let long = "x/".repeat(PATH_BYTES_MAX);
        for (path, inside) in [
            ("", true),
            ("a.txt", true),
            ("sub/new/a.txt", true),
            ("inner/a.txt", true),
            ("sub/../a.txt", true),
            ("link", false),
            ("link/a.txt", false),
            ("link/new/a.txt", false),
            ("inner/../../out/a.txt", false),
            ("none/../../out", false),
            ("dangling", false),
            ("dangling/a.txt", false),
            ("loop", false),
            ("/etc/passwd", false),
            (&long, false),
        ] {
            assert_eq!(is_inside(&work, Path::new(path)), inside, "{path}");
        }
        // By its own name, by that of a link to it, and not beside it.
        let alias = directory.path().join("alias");
        std::os::unix::fs::symlink(&work, &alias).unwrap();
        assert!(is_inside(&work, &work.join("a.txt")));
        assert!(is_inside(&work, &alias.join("a.txt")) && is_inside(&alias, &work));
        assert!(!is_inside(&work, &directory.path().join("works/a.txt")));
    }
}
