//! A purge, and what else goes on meanwhile.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use tempfile::TempDir;

use super::writer_tests::{Hive, NOW, post};
use crate::command::DeleteSession;
use crate::disk::Disk;

/// A purge that meets a snapshot, or another purge, or writes, is done when it says so: what was deleted is nowhere.
#[tokio::test]
async fn a_purge_during_a_snapshot_forgets_all_the_same() {
    let root = TempDir::new().unwrap();
    let hive = Hive::open(root.path());
    let kept = hive.session("kept").await;
    // Executions stay with the beginning of what was asked, so the secret comes late.
    let secret = format!("{}a secret", "padding ".repeat(20_000));
    let doomed = hive.session("doomed").await;
    hive.journal.submit(post(doomed, &secret)).await.unwrap();
    // The first snapshot holds the secret and is being written, or just was, when it is deleted.
    let (first, deleted) = tokio::join!(
        hive.journal.purge(),
        hive.journal.submit(DeleteSession {
            id: doomed,
            at: NOW
        }),
    );
    first.unwrap();
    deleted.unwrap();
    let posts = futures_util::future::join_all((0..20).map(|n| {
        let text = format!("message {n}");
        let journal = hive.journal.clone();
        async move { journal.submit(post(kept, &text)).await }
    }));
    let (one, other, posted) = tokio::join!(hive.journal.purge(), hive.journal.purge(), posts);
    one.unwrap();
    other.unwrap();
    assert!(posted.iter().all(Result::is_ok));
    for folder in [hive.data.journal(), hive.data.snapshots()] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let bytes = match path.extension().is_some_and(|end| end == "snap") {
                true => unpacked(&path),
                false => bytes,
            };
            assert!(!holds(&bytes, b"a secret"), "{}", path.display());
        }
    }
    hive.remade_the_same(root.path()).await;
}

/// Every key and value of a snapshot.
fn unpacked(path: &Path) -> Vec<u8> {
    let mut reader = super::snapshot::SnapshotReader::open(&Disk::real(), path).unwrap();
    let mut bytes = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        if let super::snapshot::Item::Entry { key, value } = item {
            bytes.extend_from_slice(key);
            bytes.extend_from_slice(value);
        }
    }
    bytes
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(bytes, wanted).is_some()
}
