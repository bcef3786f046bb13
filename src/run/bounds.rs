//! What the settings say, in the terms of each part that is put together.

use std::time::Duration;

use crate::config::{Config, Origin, Rate};
use crate::http::{Limits, Origins, Proxies, Quota, RateLimits};
use crate::journal::{SYNC_INLINE_MAX, WriterLimits};
use crate::retention::Pace;

pub(crate) fn writer_limits(config: &Config) -> WriterLimits {
    let limits = &config.limits;
    WriterLimits {
        batch_commands_max: limits.batch_commands_max,
        commands_waiting_max: limits.commands_waiting_max,
        segment_bytes_min: limits.segment_bytes_min,
        segment_age_max: Duration::from_secs(limits.segment_age_max_s),
        checkpoint_dirty_bytes: limits.checkpoint_dirty_bytes,
        sync_inline_max: SYNC_INLINE_MAX,
    }
}

pub(crate) fn pace(config: &Config) -> Pace {
    let limits = &config.limits;
    Pace {
        after_start: Duration::from_secs(limits.retention_after_start_s),
        interval: Duration::from_secs(limits.retention_interval_s),
        removed_max: limits.retention_removed_max,
    }
}

pub(super) fn origins(config: &Config) -> Origins {
    let public = config.public_url.as_ref().map(|url| url.host().to_string());
    let names = config.public_names.iter().map(ToString::to_string);
    Origins {
        allowed: config
            .cors_allowed_origins
            .iter()
            .map(|origin| origin.as_str().to_owned())
            .collect(),
        public_names: names.chain(public).collect(),
        // A port in the address means that the host's own https port may be something else.
        https_only: config
            .public_url
            .as_ref()
            .filter(|url| is_https(url) && url.as_str().ends_with(url.host().as_str()))
            .map(|url| url.host().to_string()),
        loopback_only: config.listen.is_loopback(),
    }
}

pub(super) fn rate_limits(config: &Config) -> RateLimits {
    let set = &config.rate_limit;
    let families = [
        ("chat", set.chat),
        ("agents", set.agents),
        ("knowledge", set.knowledge),
        ("auth", set.auth),
        ("webhook", set.webhook),
        ("default", set.default),
    ];
    let limited = families.into_iter().filter_map(|(name, rate)| match rate {
        Rate::PerMinute { rate, burst } if set.enabled => Some((
            name,
            Quota {
                per_minute: rate,
                burst,
            },
        )),
        _ => None,
    });
    RateLimits::new(limited)
}

pub(super) fn proxies(config: &Config) -> Proxies {
    let trusted = config.trusted_proxies.clone();
    if trusted.is_empty() {
        return Proxies::none();
    }
    Proxies::trusted(move |address| trusted.iter().any(|range| range.contains(address)))
}

pub(super) fn is_https(url: &Origin) -> bool {
    url.as_str().starts_with("https://")
}

pub(super) fn server_limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        connections_max: limits.connections_max,
        connections_per_address_max: limits.connections_per_address_max,
        head_bytes_max: limits.head_bytes_max,
        uri_bytes_max: limits.uri_bytes_max,
        head: Duration::from_secs(limits.head_timeout_s),
        body_chunk: Duration::from_secs(limits.body_chunk_timeout_s),
        write_stall: Duration::from_secs(limits.write_stall_timeout_s),
        http2_streams_max: limits.http2_streams_max,
        tls_handshake: Duration::from_secs(limits.tls_handshake_timeout_s),
        tls_handshakes_max: limits.tls_handshakes_max,
        drain: Duration::from_secs(limits.drain_timeout_s),
    }
}
