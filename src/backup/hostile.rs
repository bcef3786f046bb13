//! Archives as Skep writes them, and archives as nobody should: what is read back, and what is refused.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tar::{EntryType, Header};

use super::unpack::{Depth, Unpacked, Unpacker};
use super::*;

/// A directory that looks like a hive, with everything that a backup must and must not take.
fn hive() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, content: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let noise: Vec<u8> = (0..700_000_u32)
        .flat_map(|n| (n ^ (n << 7)).to_le_bytes())
        .collect();
    put("journal/00000000000000000001.seg", &noise);
    put("journal/00000000000000000002.seg", &[0; 5000]);
    put("snapshots/00000000000000000001.snap", b"snapshot");
    put("logs/2026-11/a.log", b"log");
    put("uploads/s/picture.png", b"picture");
    put("workers/w/notes.md", b"notes");
    put(
        &format!("workers/w/{}/{}", "d".repeat(120), "f".repeat(200)),
        b"far away",
    );
    put("workers/w/empty", b"");
    put("keys/signing.key", &[7; 32]);
    put("skep.toml", b"");
    put("instance.json", b"{}");
    for left_out in [
        "hive.redb",
        "lock",
        "control.json",
        "search/index",
        "journal/00000000000000000003.seg.tmp",
        "journal/00000000000000000000.seg.aside",
        "snapshots/00000000000000000002.snap.tmp",
        "keys/signing.key.tmp",
        "uploads/s/.upload-1",
        "check-1.tmp/check.redb",
    ] {
        put(left_out, b"no part of a backup");
    }
    symlink("notes.md", root.path().join("workers/w/link")).unwrap();
    symlink("/etc", root.path().join("workers/w/away")).unwrap();
    symlink("../skep.toml", root.path().join("uploads/link")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        root.path().join("workers/w/pipe"),
        0o600.into(),
    )
    .unwrap();
    fs::set_permissions(
        root.path().join("workers/w/notes.md"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    root
}

fn archive_of(root: &Path, with_keys: bool) -> (Vec<u8>, Vec<String>) {
    let mut writer = archive::Writer::begin(Vec::new(), &Manifest::new(1000, with_keys)).unwrap();
    let notes = source::read(root, with_keys, &mut writer).unwrap();
    (writer.finish().unwrap(), notes)
}

fn unpack(archive: &[u8], root: &Path) -> Result<Unpacked, BackupError> {
    let mut unpacker = Unpacker::new(root, Depth::Everything)?;
    archive::read(archive, &mut unpacker)?;
    unpacker.finish()
}

/// Every file below `root` with its content; links with their target.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(root: &Path, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if metadata.is_dir() {
                walk(root, &path, found);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.push((name, target.display().to_string().into_bytes()));
            } else {
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, &mut found);
    found.sort();
    found
}

/// What a hive is made of comes back as it was; what is disposable, unfinished or a server's own is not taken.
#[test]
fn a_hive_survives_the_archive() {
    let root = hive();
    let (bytes, notes) = archive_of(root.path(), true);
    let target = tempfile::tempdir().unwrap();
    let copy = target.path().join("copy");
    let unpacked = unpack(&bytes, &copy).unwrap();
    let mut expected = files(&{
        let trimmed = target.path().join("expected");
        let taken = [
            "journal",
            "snapshots",
            "logs",
            "uploads",
            "workers",
            "keys",
            "skep.toml",
            "instance.json",
        ];
        fs::create_dir(&trimmed).unwrap();
        for name in taken {
            fs::rename(root.path().join(name), trimmed.join(name)).unwrap();
        }
        fs::remove_file(trimmed.join("workers/w/pipe")).unwrap();
        trimmed
    });
    let is_left_out = |name: &str| {
        name.contains(".tmp")
            || name.contains(".aside")
            || name.contains(".upload-")
            || name == "workers/w/away"
            || name == "uploads/link"
    };
    expected.retain(|(name, _)| !is_left_out(name));
    assert!(files(&copy) == expected);
    assert_eq!(unpacked.files, 11);
    let notes = [notes, unpacked.notes].concat().join("\n");
    for expected in ["workers/w/pipe", "workers/w/away", "uploads/link"] {
        assert!(notes.contains(expected), "{notes}");
    }
    let mode = |name: &str| fs::metadata(copy.join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode("workers/w/notes.md"), 0o755);
    assert_eq!(mode("skep.toml") & 0o077, 0);
    assert_eq!(mode("workers"), 0o700);
}

#[test]
fn keys_stay_out_when_told() {
    let root = hive();
    let target = tempfile::tempdir().unwrap();
    let copy = target.path().join("copy");
    unpack(&archive_of(root.path(), false).0, &copy).unwrap();
    assert!(!copy.join("keys").exists() && copy.join("instance.json").exists());
}

/// For a look, files of engines take no room, and what is checked is there.
#[test]
fn a_look_takes_lengths_for_content() {
    let root = hive();
    let (bytes, _) = archive_of(root.path(), true);
    let target = tempfile::tempdir().unwrap();
    let copy = target.path().join("copy");
    let mut unpacker = Unpacker::new(&copy, Depth::Checkable).unwrap();
    archive::read(bytes.as_slice(), &mut unpacker).unwrap();
    unpacker.finish().unwrap();
    assert_eq!(fs::read(copy.join("workers/w/notes.md")).unwrap(), [0; 5]);
    let segment = "journal/00000000000000000001.seg";
    assert!(fs::read(copy.join(segment)).unwrap() == fs::read(root.path().join(segment)).unwrap());
    assert!(!copy.join("workers/w/link").exists());
}

/// Cut anywhere or altered anywhere, an archive is never taken for a whole one.
#[test]
fn a_cut_or_altered_archive_is_refused() {
    #[derive(Default, PartialEq)]
    struct Content(Vec<(Entry, Vec<u8>)>);
    impl Sink for Content {
        fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
            let mut bytes = Vec::new();
            // What the archive got wrong is told by its reader.
            let _ = content.read_to_end(&mut bytes);
            self.0.push((entry.clone(), bytes));
            Ok(())
        }
    }
    let read = |bytes: &[u8]| {
        let mut content = Content::default();
        archive::read(bytes, &mut content).map(|_| content)
    };
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("workers/w")).unwrap();
    let noise: Vec<u8> = (0..2000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(root.path().join("workers/w/file"), noise).unwrap();
    let (bytes, _) = archive_of(root.path(), true);
    let whole = read(&bytes).unwrap();
    for at in 0..bytes.len() {
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        let mut altered = bytes.clone();
        altered[at] ^= 0x10;
        // A few bits mean nothing to zstd. What is taken for whole is what was written, always.
        let taken = read(&altered).ok();
        assert!(
            taken.is_none_or(|content| content == whole),
            "altered at {at}"
        );
    }
    for other in [&b""[..], b"x", b"PK\x03\x04", &[0; 4096]] {
        let refused = read(other);
        assert!(matches!(refused, Err(BackupError::NotABackup(_))));
    }
}

/// Name, kind, target of the link, announced length, content.
type Forged<'a> = (&'a [u8], EntryType, &'a [u8], u64, &'a [u8]);

fn file(name: &[u8]) -> Forged<'_> {
    (name, EntryType::Regular, b"", 1, b"x")
}

fn link<'a>(name: &'a [u8], target: &'a [u8]) -> Forged<'a> {
    (name, EntryType::Symlink, target, 0, b"")
}

fn of(name: &[u8], kind: EntryType) -> Forged<'_> {
    (name, kind, b"workers/w/a", 0, b"")
}

/// An archive made of these entries, with right checksums everywhere.
fn forged(entries: &[Forged<'_>]) -> Vec<u8> {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let manifest = serde_json::to_vec(&Manifest::new(0, true)).unwrap();
    let bytes = manifest.len() as u64;
    let first = (
        &b"skep-backup.json"[..],
        EntryType::Regular,
        &b""[..],
        bytes,
        manifest.as_slice(),
    );
    for (name, kind, link, bytes, content) in std::iter::once(&first).chain(entries) {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_entry_type(*kind);
        header.set_size(*bytes);
        header.set_mode(0o777);
        header.set_cksum();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(content).unwrap();
        out.write_all(&vec![
            0;
            content.len().next_multiple_of(512) - content.len()
        ])
        .unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.finish().unwrap()
}

/// Nothing that an archive says makes a file outside, a device, a hard link, or a link that leads away.
#[test]
fn a_hostile_archive_is_refused_and_writes_nothing_outside() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    let absolute = victim.display().to_string();
    let dir = outside.path().display().to_string();
    let refused = [
        vec![file(absolute.as_bytes())],
        vec![file(b"../victim")],
        vec![file(b"workers/../../victim")],
        vec![file(b"unknown")],
        vec![file(b"hive.redb")],
        vec![file(b"workers")],
        vec![link(b"workers", dir.as_bytes()), file(b"workers/victim")],
        vec![
            link(b"uploads/x", dir.as_bytes()),
            file(b"uploads/x/victim"),
        ],
        vec![link(b"keys/signing.key", absolute.as_bytes())],
        // A link within its worker's directory, and then a file in its place or through it.
        vec![link(b"workers/w/a", b"b"), file(b"workers/w/a")],
        vec![link(b"workers/w/a", b"b"), file(b"workers/w/a/victim")],
        vec![file(b"workers/w/a"), file(b"workers/w/a")],
        vec![file(b"workers/w/a"), file(b"workers/w/a/b")],
        vec![of(b"workers/w/b", EntryType::Link)],
        vec![of(b"workers/w/b", EntryType::Char)],
        vec![of(b"workers/w/b", EntryType::Block)],
        vec![of(b"workers/w/b", EntryType::Fifo)],
        vec![of(b"workers/w/b", EntryType::GNUSparse)],
        vec![of(b"workers/w/b", EntryType::XHeader)],
        vec![(
            &b"workers/w/b"[..],
            EntryType::Directory,
            &b""[..],
            1,
            &b"x"[..],
        )],
        vec![(b"x", EntryType::GNULongName, b"", 1 << 40, b"")],
    ];
    for (number, entries) in refused.iter().enumerate() {
        let target = outside.path().join(format!("target-{number}"));
        let error = unpack(&forged(entries), &target).unwrap_err();
        assert!(
            matches!(error, BackupError::Hostile { .. }),
            "{number}: {error}"
        );
        assert!(!victim.exists(), "{number}");
    }
}

/// Links that lead out of their worker's directory are left out; the rest of the archive is restored.
#[test]
fn a_link_that_leads_away_is_not_made() {
    let outside = tempfile::tempdir().unwrap();
    let away: [&[u8]; 7] = [
        b"/etc/passwd",
        b"..",
        b"../x",
        b"../../keys",
        b"a/../../..",
        b"a/..",
        b"",
    ];
    for (number, target) in away.iter().enumerate() {
        let root = outside.path().join(number.to_string());
        let entries = [link(b"workers/w/link", target), file(b"workers/w/file")];
        let unpacked = unpack(&forged(&entries), &root).unwrap();
        assert_eq!(unpacked.notes.len(), 1, "{number}");
        assert!(root.join("workers/w/link").symlink_metadata().is_err());
        assert!(root.join("workers/w/file").exists());
    }
}

/// A length that no disk has is refused before a byte is written, and costs nothing.
#[test]
fn what_does_not_fit_is_refused_at_once() {
    let outside = tempfile::tempdir().unwrap();
    let huge = forged(&[(b"workers/w/huge", EntryType::Regular, b"", 1 << 50, b"x")]);
    let root = outside.path().join("hive");
    let error = unpack(&huge, &root).unwrap_err();
    assert!(matches!(error, BackupError::TooLarge { .. }), "{error}");
    assert!(files(&root).is_empty());
}

#[test]
fn an_archive_of_a_newer_format_says_so() {
    let mut manifest = Manifest::new(0, true);
    manifest.format = FORMAT + 1;
    let writer = archive::Writer::begin(Vec::new(), &manifest).unwrap();
    let target = tempfile::tempdir().unwrap();
    let error = unpack(&writer.finish().unwrap(), &target.path().join("x")).unwrap_err();
    assert!(matches!(error, BackupError::Newer { found } if found == FORMAT + 1));
}

/// A file that becomes shorter while it is read keeps its announced length, and what is read says so.
#[test]
fn a_file_that_shrinks_does_not_break_the_archive() {
    struct Shrinks<'a> {
        file: &'a Path,
        writer: archive::Writer<Vec<u8>>,
    }
    impl Sink for Shrinks<'_> {
        fn put(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), BackupError> {
            if self.file.ends_with(&entry.path) {
                fs::OpenOptions::new()
                    .write(true)
                    .open(self.file)
                    .unwrap()
                    .set_len(10)
                    .unwrap();
            }
            self.writer.put(entry, content)
        }
    }
    let root = tempfile::tempdir().unwrap();
    let name = "workers/w/file";
    fs::create_dir_all(root.path().join("workers/w")).unwrap();
    let file = root.path().join(name);
    fs::write(&file, vec![1; 1 << 20]).unwrap();
    let writer = archive::Writer::begin(Vec::new(), &Manifest::new(0, true)).unwrap();
    let mut sink = Shrinks {
        file: &file,
        writer,
    };
    let notes = source::read(root.path(), true, &mut sink).unwrap();
    assert!(notes[0].contains("became shorter"), "{notes:?}");
    let copy = root.path().join("copy");
    unpack(&sink.writer.finish().unwrap(), &copy).unwrap();
    let read = fs::read(copy.join(name)).unwrap();
    assert!(
        read.len() == 1 << 20 && read[..10] == [1; 10] && read[10..].iter().all(|byte| *byte == 0)
    );
}
