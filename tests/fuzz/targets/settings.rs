//! `skep.toml` and the environment.

use std::ffi::OsString;
use std::fmt::{Debug, Display};
use std::os::unix::ffi::OsStringExt;
use std::str::FromStr;

use skep::config::{AddressRange, Config, HostName, Listen, Origin, Rate, documented};
use tempfile::TempDir;

use super::choice;

/// What is not understood is refused in one readable line; what is taken keeps to its bounds and means the same when
/// it is written out.
pub fn load(bytes: &[u8]) {
    let (which, rest) = choice(bytes);
    thread_local! {
        static DATA: TempDir = tempfile::tempdir().expect("a directory");
    }
    let settings = documented();
    let loaded = DATA.with(|data| {
        let file = data.path().join(skep::config::FILE_NAME);
        if which == 0 {
            std::fs::write(&file, rest).expect("written");
            return Config::load(data.path(), |_| None, &[]);
        }
        let _ = std::fs::remove_file(&file);
        let asked = &settings[usize::from(which) % settings.len()].env;
        let value = OsString::from_vec(rest.to_vec());
        Config::load(
            data.path(),
            |name| (name == asked).then(|| value.clone()),
            &[],
        )
    });
    match loaded {
        Ok(config) => {
            assert!((1..=1_000).contains(&config.max_concurrent_executions));
            assert!(config.refresh_token_s >= config.access_token_s);
            assert!(config.listen.is_loopback() || config.behind_proxy);
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty());
            assert!(said.len() <= 4 * rest.len() + 2048, "{} bytes", said.len());
        }
    }
    if let Ok(word) = std::str::from_utf8(rest) {
        survives::<Listen>(word);
        survives::<HostName>(word);
        survives::<Origin>(word);
        survives::<AddressRange>(word);
        survives::<Rate>(word);
    }
}

fn survives<T: FromStr + Display + Debug + PartialEq>(word: &str) {
    if let Ok(value) = word.parse::<T>() {
        let written = value.to_string();
        match written.parse::<T>() {
            Ok(again) => assert_eq!(again, value, "{word:?} is written {written:?}"),
            Err(_) => panic!("{word:?} is written {written:?}, which is refused"),
        }
    }
}
