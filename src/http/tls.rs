//! TLS of the server's own: a chain and a key from two PEM files, read again when the files change.
//!
//! The files are looked at when a connection comes, at most once a second: an idle server does nothing, and the next
//! client gets the new certificate. A pair that cannot be used leaves the one before in place and says so once.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// How long the files are taken to be what they were.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A chain or a key is a few KiB; more is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is spoken, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate and its key cannot be used; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system refused.
    #[error("cannot read {what} {}: {source}{}", path.display(), hint(source))]
    Unreadable {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something else in the file.
    #[error("{} holds no {what} in PEM form; {}", path.display(), advice)]
    Wrong {
        /// Which of the two.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What to look at.
        advice: &'static str,
    },
    /// They are not a pair.
    #[error("the key {} does not belong to the first certificate in {}; the server's own certificate must come first, then the chain", key.display(), cert.display())]
    Mismatch {
        /// The chain.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The library refused.
    #[error("the certificate in {} cannot be used: {source}", cert.display())]
    Refused {
        /// The chain.
        cert: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; the user that Skep runs as must be allowed to",
        _ => "",
    }
}

/// What tells that a file was written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A certificate and its key, as the files have them now.
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    stamps: [Option<Stamp>; 2],
    looked_at: Instant,
}

impl Tls {
    /// Reads both files.
    pub fn open(cert: &Path, key: &Path) -> Result<Tls, TlsError> {
        let stamps = [Stamp::of(cert), Stamp::of(key)];
        warn_of_readers(key);
        Ok(Tls {
            current: Mutex::new(Current {
                config: Arc::new(read(cert, key)?),
                stamps,
                looked_at: Instant::now(),
            }),
            cert: cert.to_owned(),
            key: key.to_owned(),
        })
    }

    /// What the next connection is served with.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked_at.elapsed() < LOOK_INTERVAL {
            return current.config.clone();
        }
        current.looked_at = Instant::now();
        let stamps = [Stamp::of(&self.cert), Stamp::of(&self.key)];
        if stamps != current.stamps {
            current.stamps = stamps;
            match read(&self.cert, &self.key) {
                Ok(config) => {
                    current.config = Arc::new(config);
                    tracing::info!(cert = %self.cert.display(), "the certificate changed and was read again");
                }
                Err(error) => {
                    tracing::warn!(%error, "the certificate changed and cannot be used; the one before stays");
                }
            }
        }
        current.config.clone()
    }
}

fn read(cert: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&text("the certificate", cert)?)
            .collect::<Result<_, _>>()
            .unwrap_or_default();
    if chain.is_empty() {
        return Err(TlsError::Wrong {
            what: "certificate",
            path: cert.to_owned(),
            advice: "it must begin with -----BEGIN CERTIFICATE-----; is it the key?",
        });
    }
    let private = PrivateKeyDer::from_pem_slice(&text("the key", key)?).map_err(|error| {
        let advice = match error {
            pem::Error::NoItemsFound => {
                "it must hold a -----BEGIN PRIVATE KEY-----, without a passphrase"
            }
            _ => "it is damaged",
        };
        TlsError::Wrong {
            what: "private key",
            path: key.to_owned(),
            advice,
        }
    })?;
    let refused = |source| match source {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        },
        source => TlsError::Refused {
            cert: cert.to_owned(),
            source,
        },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(refused)?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn text(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    use std::io::Read;
    let read = || {
        let mut text = Vec::new();
        let file = fs::File::open(path)?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|source| TlsError::Unreadable {
        what,
        path: path.to_owned(),
        source,
    })
}

fn warn_of_readers(key: &Path) {
    if fs::metadata(key).is_ok_and(|metadata| metadata.mode() & 0o007 != 0) {
        tracing::warn!(key = %key.display(), "everybody on this machine may read the TLS key; chmod o-rwx it");
    }
}
