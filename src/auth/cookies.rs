//! The console's cookies. Their names hold the instance's id, because cookies do not know ports.

use hyper::header::HeaderValue;

/// Builds the `Set-Cookie` values of one instance.
#[derive(Debug, Clone)]
pub struct Cookies {
    instance: String,
    secure: bool,
    base_path: String,
}

impl Cookies {
    /// For the instance with this id; `secure` when clients reach it over https, below `base_path`.
    pub fn new(instance: &str, secure: bool, base_path: &str) -> Cookies {
        Cookies {
            instance: instance
                .chars()
                .filter(char::is_ascii_alphanumeric)
                .collect(),
            secure,
            base_path: base_path.to_owned(),
        }
    }

    /// The full name of a cookie, `skep_<name>_<instance>`.
    pub fn name(&self, name: &str) -> String {
        format!("skep_{name}_{}", self.instance)
    }

    /// Sets a cookie that scripts cannot read and other sites cannot make the browser send. `value` must be of the
    /// characters of a token; anything else is left out.
    pub fn set(&self, name: &str, value: &str, path: &str, max_age_s: u64) -> HeaderValue {
        let value: String = value
            .chars()
            .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | ',' | ';' | '\\'))
            .collect();
        let secure = if self.secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path={}{path}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}",
            self.name(name),
            self.base_path
        );
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// Takes a cookie back.
    pub fn clear(&self, name: &str, path: &str) -> HeaderValue {
        self.set(name, "", path, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_strict_and_named_after_its_instance() {
        let plain = Cookies::new("0193-ab; x", false, "");
        assert_eq!(
            plain.set("refresh", "a.b-c_d", "/api/auth", 604_800),
            "skep_refresh_0193abx=a.b-c_d; Path=/api/auth; Max-Age=604800; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            Cookies::new("1", true, "/skep").clear("media", "/api"),
            "skep_media_1=; Path=/skep/api; Max-Age=0; HttpOnly; SameSite=Strict; Secure"
        );
        let hostile = plain.set("x", "a; Domain=evil\r\nSet-Cookie: b", "/", 1);
        let text = String::from_utf8_lossy(hostile.as_bytes());
        assert_eq!(text.matches(';').count(), 4, "{text}");
    }
}
