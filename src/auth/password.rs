//! Passwords: argon2id hashes, the rule for new ones, and generated ones.
//!
//! Hashing is slow and takes 19 MiB on purpose, so [`Passwords`] lets one hash run at a time, away from the async
//! threads; the functions below it block.

use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::throttle::Throttle;

/// The fewest characters of a password.
pub const CHARACTERS_MIN: usize = 8;
/// The most bytes of a password; hashing reads all of them.
pub const BYTES_MAX: usize = 1024;
/// Characters of a generated password; with 32 to choose from each, 100 bits.
const GENERATED_CHARACTERS: usize = 20;
/// What is reserved for a hash, of which it uses 19 MiB and touches no more. An allocator keeps what is freed for the
/// next of its size, and for each thread apart, up to a size (glibc: 32 MiB); above it goes back to the system at once.
const RESERVED_BLOCKS: usize = 40 * 1024 * 1024 / Block::SIZE;
const SALT_BYTES: usize = 16;
/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What an unknown user's password is compared with: as costly as a real hash, and no password's.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why a password cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than eight characters.
    #[error("must have at least {CHARACTERS_MIN} characters")]
    TooShort,
    /// More than 1024 bytes.
    #[error("must have at most {BYTES_MAX} bytes")]
    TooLong,
    /// The system gives out no randomness.
    #[error("could not be hashed")]
    NotHashed,
}

/// Whether a new password is acceptable.
pub fn check(password: &str) -> Result<(), PasswordError> {
    if password.len() > BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    if password.chars().count() < CHARACTERS_MIN {
        return Err(PasswordError::TooShort);
    }
    Ok(())
}

/// The argon2id hash of an acceptable password, as a PHC string with its own salt. Blocks.
pub fn hash(password: &str) -> Result<String, PasswordError> {
    check(password)?;
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::NotHashed)?;
    let params = Params::DEFAULT;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    derive(&params, password.as_bytes(), &salt, &mut output).ok_or(PasswordError::NotHashed)?;
    let phc = || {
        Some(PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params).ok()?,
            salt: Some(Salt::new(&salt).ok()?),
            hash: Some(Output::new(&output).ok()?),
        })
    };
    phc()
        .map(|hash| hash.to_string())
        .ok_or(PasswordError::NotHashed)
}

/// Whether the password is the hashed one. With no hash, for a user who is not there, it takes the same time and says no.
/// Blocks.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let known = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let is_known = known.is_some();
    let Some(hash) = known.or_else(|| PasswordHash::new(NOBODYS).ok()) else {
        return false;
    };
    // An overlong password is nobody's; its first bytes keep the time the same.
    let bytes = &password.as_bytes()[..password.len().min(BYTES_MAX)];
    is_of(bytes, &hash) && is_known && password.len() <= BYTES_MAX
}

fn is_of(password: &[u8], hash: &PasswordHash) -> bool {
    let is_ours = hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into());
    let (Some(salt), Some(expected), Ok(params)) = (&hash.salt, &hash.hash, Params::try_from(hash))
    else {
        return false;
    };
    let mut output = vec![0; expected.len()];
    is_ours
        && derive(&params, password, salt, &mut output).is_some()
        && bool::from(output.ct_eq(expected.as_bytes()))
}

/// Fills `output` from a password, in memory that is the system's again afterwards.
fn derive(params: &Params, password: &[u8], salt: &[u8], output: &mut [u8]) -> Option<()> {
    #[cfg(test)]
    HASHES.set(HASHES.get() + 1);
    let count = params.block_count();
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count.max(RESERVED_BLOCKS)).ok()?;
    blocks.resize(count, Block::new());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
        .hash_password_into_with_memory(password, salt, output, &mut blocks)
        .ok()
}

#[cfg(test)]
thread_local! {
    /// How often this thread has hashed.
    static HASHES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A password nobody has to invent, in groups that are easy to copy by hand.
pub fn generate() -> Result<String, PasswordError> {
    let mut random = [0; GENERATED_CHARACTERS];
    getrandom::fill(&mut random).map_err(|_| PasswordError::NotHashed)?;
    let mut password = String::with_capacity(GENERATED_CHARACTERS + 3);
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            password.push('-');
        }
        password.push(ALPHABET[usize::from(byte % 32)] as char);
    }
    Ok(password)
}

/// Hashing for async callers, one at a time.
#[derive(Clone)]
pub struct Passwords(Arc<Semaphore>);

impl Passwords {
    /// Nothing is being hashed.
    pub fn new() -> Passwords {
        Passwords(Arc::new(Semaphore::new(1)))
    }

    /// [`hash`], without blocking the caller's thread.
    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        check(&password)?;
        self.alone(move || hash(&password))
            .await
            .unwrap_or(Err(PasswordError::NotHashed))
    }

    /// [`verify`] for a login, under the throttle: whether the password is right, or in how many seconds to try again.
    /// The throttle is asked in turn, one login after the other, so that many at once get no more guesses than one.
    pub async fn log_in(
        &self,
        throttle: &Arc<Throttle>,
        address: IpAddr,
        account: String,
        password: String,
        hash: Option<String>,
        now_ms: impl Fn() -> u64 + Send + 'static,
    ) -> Result<bool, u64> {
        throttle.check(address, &account, now_ms())?;
        let throttle = Arc::clone(throttle);
        let attempt = move || {
            throttle.check(address, &account, now_ms())?;
            let right = verify(&password, hash.as_deref());
            match right {
                true => throttle.succeeded(address, &account),
                false => throttle.failed(address, &account, now_ms()),
            }
            Ok(right)
        };
        self.alone(attempt).await.unwrap_or(Ok(false))
    }

    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
        // The permit goes with the work, which runs to its end also when the caller goes away.
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        })
        .await
        .ok()
    }
}

impl Default for Passwords {
    fn default() -> Passwords {
        Passwords::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let hash = hash("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(verify("correct horse", Some(&hash)));
        assert!(!verify("correct horsf", Some(&hash)));
        assert!(!verify("", Some(&hash)));
        assert!(!verify("correct horse", Some("not a hash")));
        assert!(!verify("correct horse", None));
        assert_ne!(hash, super::hash("correct horse").unwrap());
    }

    #[test]
    fn a_password_has_eight_characters_and_at_most_1024_bytes() {
        assert_eq!(check("1234567"), Err(PasswordError::TooShort));
        assert_eq!(check("12345678"), Ok(()));
        assert_eq!(check(&"\u{e9}".repeat(7)), Err(PasswordError::TooShort));
        assert_eq!(check(&"\u{e9}".repeat(8)), Ok(()));
        let longest = "a".repeat(BYTES_MAX);
        assert_eq!(check(&longest), Ok(()));
        let hashed = hash(&longest).unwrap();
        assert!(verify(&longest, Some(&hashed)));
        let longer = "a".repeat(BYTES_MAX + 1);
        assert_eq!(check(&longer), Err(PasswordError::TooLong));
        assert!(!verify(&longer, Some(&hashed)));
    }

    /// Who does not know the account must not learn from the clock whether it exists: as much is hashed for nobody.
    #[test]
    fn an_unknown_user_takes_as_long_as_a_known_one() {
        let hash = hash("correct horse").unwrap();
        let cost = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(cost(NOBODYS), cost(&hash));
        let hashes = |password: &str, hash: Option<&str>| {
            let before = HASHES.get();
            assert!(!verify(password, hash));
            HASHES.get() - before
        };
        let longer = "a".repeat(BYTES_MAX + 1);
        for password in ["wrong horse", "", &longer] {
            assert_eq!(hashes(password, Some(&hash)), 1);
            assert_eq!(hashes(password, Some("not a hash")), 1);
            assert_eq!(hashes(password, None), 1);
        }
    }

    #[tokio::test]
    async fn hashes_run_one_at_a_time_and_generated_passwords_do() {
        let passwords = Passwords::new();
        let password = generate().unwrap();
        assert_eq!(password.len(), 23);
        let (a, b) = tokio::join!(
            passwords.hash(password.clone()),
            passwords.hash(password.clone())
        );
        assert!(verify(&password, Some(&a.unwrap())));
        assert!(verify(&password, Some(&b.unwrap())));
        assert_eq!(passwords.0.available_permits(), 1);
    }

    /// Guessing in parallel gains nothing, and many right logins at once are all let in.
    #[tokio::test]
    async fn logins_at_once_get_five_guesses_together() {
        let (passwords, throttle) = (Passwords::new(), Arc::new(Throttle::new()));
        let hash = hash("correct horse").unwrap();
        let try_all = |password: &'static str| {
            let attempts = (0..8).map(|_| {
                passwords.log_in(
                    &throttle,
                    IpAddr::from([10, 0, 0, 1]),
                    "admin".to_owned(),
                    password.to_owned(),
                    Some(hash.clone()),
                    || 0,
                )
            });
            futures_util::future::join_all(attempts)
        };
        let right = try_all("correct horse").await;
        assert!(right.iter().all(|outcome| *outcome == Ok(true)));
        let wrong = try_all("wrong horse").await;
        assert_eq!(
            wrong
                .iter()
                .filter(|outcome| **outcome == Ok(false))
                .count(),
            5
        );
        assert_eq!(
            wrong.iter().filter(|outcome| **outcome == Err(60)).count(),
            3
        );
    }
}
