//! The targets of the fuzzer (`tests/fuzz`) without the fuzzer: the seeds, every input that ever broke one, and
//! mutations of both that are the same every time.

#[path = "../fuzz/targets/mod.rs"]
pub mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use targets::{ALL, Target};

/// All seeds together, so that the repository stays small.
const CORPUS_BYTES_MAX: u64 = 300 * 1024;
/// What mutations grow an input to.
const INPUT_BYTES_MAX: usize = 16 * 1024;

fn folder(kind: &str, target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(kind)
        .join(target.name)
}

/// The files of a folder by name; none where there is no folder.
fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(listed) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// A generator that is the same everywhere (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Bytes that parsers are known to trip over.
const INTERESTING: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\r\n",
    b"\n\n",
    b"\"",
    b"<script>",
    b"../",
    b"%00",
    b"-1",
    b"18446744073709551616",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0\0\0\0\0",
    b"\xed\xa0\x80",
    b"\xe2\x80\xae",
    b"[[[[",
];

fn mutated(seed: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(32)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..to)),
            3 => {
                let piece = bytes[at..to].to_vec();
                let place = random.below(bytes.len() + 1);
                bytes.splice(place..place, piece);
            }
            4 => bytes.truncate(at),
            5 => {
                let piece = INTERESTING[random.below(INTERESTING.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => {
                let from = random.below(other.len() + 1);
                let until = (from + random.below(64)).min(other.len());
                bytes.splice(at..to, other[from..until].iter().copied());
            }
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn run(target: &Target, bytes: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let name = format!("{}-{}", target.name, what.replace(['/', ' '], "-"));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, bytes).unwrap();
        panic!(
            "{}: {what} breaks it; the input is in {}",
            target.name,
            path.display()
        );
    }
}

fn check(name: &str) {
    let target = ALL.iter().find(|target| target.name == name).unwrap();
    let seeds = inputs(&folder("corpus", target));
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut all = inputs(&folder("crashes", target));
    all.extend(seeds);
    run(target, b"", "nothing at all");
    for (path, bytes) in &all {
        run(target, bytes, &path.file_name().unwrap().to_string_lossy());
    }
    for (at, (path, bytes)) in all.iter().enumerate() {
        let file = path.file_name().unwrap().to_string_lossy();
        for number in 0..target.mutations {
            let mut random = Random((at as u64) << 32 | number as u64);
            let other = &all[random.below(all.len())].1;
            let changed = mutated(bytes, other, &mut random);
            run(target, &changed, &format!("{file} mutation {number}"));
        }
    }
}

macro_rules! targets {
    ($($test:ident = $name:literal),+ $(,)?) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )+

        /// A target that nobody runs finds nothing.
        #[test]
        fn every_target_is_tested_and_its_seeds_are_small() {
            let tested = [$($name),+];
            let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
            assert_eq!(names, tested);
            let sizes = ALL.iter().flat_map(|target| inputs(&folder("corpus", target)));
            let bytes: u64 = sizes.map(|(_, bytes)| bytes.len() as u64).sum();
            assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes of seeds");
        }
    };
}

targets! {
    any_archive_is_unpacked_safely_or_refused = "archive",
    any_token_is_ours_or_refused = "auth",
    any_record_decodes_to_what_encodes_or_is_corrupt = "codec",
    anything_an_engine_prints_is_understood_or_kept = "engine",
    anything_on_a_connection_is_answered_in_form = "http",
    any_journal_is_a_beginning_of_what_was_written_or_refused = "journal",
    any_index_points_into_its_log = "logs",
    any_markdown_is_shown_without_anything_that_runs = "markdown",
    any_message_is_routed_and_understood = "message",
    any_form_is_taken_or_refused = "multipart",
    any_path_and_query_is_understood_as_it_is_written = "query",
    any_settings_are_within_their_bounds_or_refused = "settings",
    any_snapshot_reads_back_or_is_refused = "snapshot",
}
