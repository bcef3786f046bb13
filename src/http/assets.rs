//! Files that are part of the binary: the user interface.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, VARY,
};
use rust_embed::{EmbeddedFile, RustEmbed};
use tokio::sync::OnceCell;

use super::body::Body;
use super::compression::{self, Effort, Encoding};
use super::conditional::is_unchanged;
use super::response::Response;

/// The folder of the scripts that run behind pages, in workers of the browser's. Those take their policy from their own
/// answer, not from a page.
const BACKGROUND: &str = "background/";
const BACKGROUND_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; script-src 'self'; connect-src 'self'");

/// How a page of the interface that cannot be reached is shown all the same: by a script for every address.
const WORKER_SCOPE: HeaderName = HeaderName::from_static("service-worker-allowed");

/// The page that answers to every address of the interface.
const INDEX: &str = "index.html";

/// What stands before the version in paths that may be kept for ever.
const VERSIONED: &str = "v-";

/// The files of an embedded folder, compressed once when they are first asked for.
pub struct Assets {
    files: HashMap<Cow<'static, str>, Asset>,
    reserved: &'static [&'static str],
    /// Another one when any file is another one.
    version: String,
}

impl Assets {
    /// The files of `E`, below `base_path`. Paths under `reserved` (such as `/api`) never fall back to the page.
    ///
    /// Pages name scripts and styles by a path that holds the version, and these name each other relative to their own:
    /// a browser keeps them all, asks only for the page, and has all of the next version at once.
    pub fn of<E: RustEmbed>(reserved: &'static [&'static str], base_path: &str) -> Assets {
        let asset = |name: Cow<'static, str>| {
            let mut asset = Asset::new(&name, E::get(&name)?);
            if name.ends_with(".css") {
                asset.take_in_imports::<E>(&name);
            }
            Some((name, asset))
        };
        let mut files: HashMap<_, _> = E::iter().filter_map(asset).collect();
        let mut tags: Vec<&str> = files.values().map(|asset| asset.tag.as_str()).collect();
        tags.sort_unstable();
        let version = format!("{:08x}", crc32c::crc32c(tags.concat().as_bytes()));
        for (name, asset) in &mut files {
            if name.ends_with(".html") {
                asset.move_below(base_path, &version);
            }
            if name.starts_with(BACKGROUND) {
                asset.scope = HeaderValue::try_from(format!("{base_path}/")).ok();
            }
        }
        Assets {
            files,
            reserved,
            version,
        }
    }

    /// The file of a path, and whether it may be kept for ever because the path is of this version alone; for an address
    /// of the interface, the page.
    pub(super) fn find(&self, path: &str) -> Option<(&Asset, bool)> {
        let is_reserved = self
            .reserved
            .iter()
            .filter_map(|prefix| path.strip_prefix(prefix))
            .any(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_reserved {
            return None;
        }
        let name = path.strip_prefix('/')?;
        // A page that is still open after an update goes on with the files of today.
        let versioned = name.strip_prefix(VERSIONED);
        if let Some((version, name)) = versioned.and_then(|rest| rest.split_once('/')) {
            // A page names the files of its own version: one that is kept would be yesterday's for ever.
            let is_kept = version == self.version && !name.ends_with(".html");
            return Some((self.files.get(name)?, is_kept));
        }
        Some((self.by_name(name)?, false))
    }

    fn by_name(&self, name: &str) -> Option<&Asset> {
        if let Some(file) = self.files.get(name) {
            return Some(file);
        }
        let last = name.rsplit('/').next().unwrap_or_default();
        // A missing script must be missing, not a page that does not parse as one.
        if last.contains('.') {
            return None;
        }
        // A folder with a page of its own is that page.
        let own = format!("{}/{INDEX}", name.trim_end_matches('/'));
        let own = self.files.get(own.as_str());
        own.or_else(|| self.files.get(INDEX))
    }
}

/// One file, in each coding it was asked for in.
pub(super) struct Asset {
    content_type: HeaderValue,
    /// The addresses that a script behind pages may see to.
    scope: Option<HeaderValue>,
    tag: String,
    bytes: Bytes,
    brotli: OnceCell<Option<Bytes>>,
    gzip: OnceCell<Option<Bytes>>,
}

impl Asset {
    fn new(name: &str, file: EmbeddedFile) -> Asset {
        let guess = mime_guess::from_path(name).first_or_octet_stream();
        let text = match guess.type_() {
            mime_guess::mime::TEXT => format!("{guess}; charset=utf-8"),
            _ => guess.to_string(),
        };
        let octets = HeaderValue::from_static("application/octet-stream");
        let hash = file.metadata.sha256_hash();
        Asset {
            content_type: HeaderValue::try_from(text).unwrap_or(octets),
            scope: None,
            tag: hash[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: match file.data {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            },
            brotli: OnceCell::new(),
            gzip: OnceCell::new(),
        }
    }

    /// Puts the base before the paths that the page names, and the version before those of scripts and styles.
    fn move_below(&mut self, base_path: &str, version: &str) {
        let Ok(page) = std::str::from_utf8(&self.bytes) else {
            return;
        };
        let mut moved = String::with_capacity(page.len() + 8192);
        let mut parts = page.split("=\"/");
        moved.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let path = part.split('"').next().unwrap_or_default();
            moved.push_str("=\"");
            moved.push_str(base_path);
            if path.ends_with(".js") || path.ends_with(".css") {
                moved.push_str(&format!("/{VERSIONED}{version}"));
            }
            moved.push('/');
            moved.push_str(part);
        }
        self.replace(moved.into_bytes());
    }

    /// Puts what a style sheet imports from beside itself in the place of each `@import`, so that it is asked for once.
    fn take_in_imports<E: RustEmbed>(&mut self, name: &str) {
        let Ok(sheet) = std::str::from_utf8(&self.bytes) else {
            return;
        };
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let imported = |line: &str| {
            let name = line.strip_prefix("@import \"")?.strip_suffix("\";")?;
            Some(E::get(&format!("{folder}/{name}"))?.data)
        };
        let mut whole = Vec::new();
        for line in sheet.lines() {
            whole.extend_from_slice(&imported(line).unwrap_or(line.as_bytes().into()));
            whole.push(b'\n');
        }
        self.replace(whole);
    }

    fn replace(&mut self, bytes: Vec<u8>) {
        self.tag = format!("{}-{:08x}", self.tag, crc32c::crc32c(&bytes));
        self.bytes = Bytes::from(bytes);
    }

    /// The file, or 304. What is asked for by a path of its version may be kept for ever; else it is asked after each time.
    pub(super) async fn answer(&self, asked: &HeaderMap, is_kept: bool) -> Response {
        let is_text = compression::is_text(&self.content_type);
        let encoded = match Encoding::accepted(asked).filter(|_| is_text) {
            Some(encoding) => self.encoded(encoding).await.map(|bytes| (encoding, bytes)),
            None => None,
        };
        let (etag, bytes) = match &encoded {
            Some((encoding, bytes)) => (format!("\"{}-{}\"", self.tag, encoding.name()), bytes),
            None => (format!("\"{}\"", self.tag), &self.bytes),
        };
        let cache = match is_kept {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        };
        let unchanged = is_unchanged(asked, &etag, None);
        let mut response = match unchanged {
            true => Response::new(StatusCode::NOT_MODIFIED),
            false => Response::new(StatusCode::OK),
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(ETAG, etag);
        }
        if is_text {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if !unchanged {
            if let Some(scope) = &self.scope {
                headers.insert(CONTENT_SECURITY_POLICY, BACKGROUND_POLICY);
                headers.insert(WORKER_SCOPE, scope.clone());
            }
            headers.insert(CONTENT_TYPE, self.content_type.clone());
            if let Some((encoding, _)) = &encoded {
                let name = HeaderValue::from_static(encoding.name());
                headers.insert(CONTENT_ENCODING, name);
            }
            response.set_body(Body::from(bytes.clone()));
        }
        response
    }

    async fn encoded(&self, encoding: Encoding) -> Option<Bytes> {
        let cell = match encoding {
            Encoding::Brotli => &self.brotli,
            Encoding::Gzip => &self.gzip,
        };
        cell.get_or_init(|| compression::compressed(encoding, self.bytes.clone(), Effort::Thorough))
            .await
            .clone()
    }
}
