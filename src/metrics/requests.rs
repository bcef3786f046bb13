//! Requests by route, status and time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Histogram;
use super::text::Text;

const US_PER_S: f64 = 1e6;
/// Upper bounds in microseconds, from a cached answer to a slow disk.
static LATENCY_US: [u64; 12] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000,
];
/// What Skep answers; anything else is counted as `other`.
const STATUSES: [u16; 28] = [
    200, 201, 202, 204, 206, 304, 308, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 414, 415,
    416, 422, 429, 431, 500, 501, 502, 503, 504,
];

/// The requests of one route.
#[derive(Debug)]
pub struct RequestMetrics {
    method: String,
    route: &'static str,
    by_status: [AtomicU64; STATUSES.len() + 1],
    latency_us: Histogram<12>,
}

impl RequestMetrics {
    /// Of a route: its method and its pattern, never a path.
    pub fn new(method: &str, route: &'static str) -> Arc<Self> {
        Arc::new(Self {
            method: method.to_owned(),
            route,
            by_status: [const { AtomicU64::new(0) }; STATUSES.len() + 1],
            latency_us: Histogram::new(&LATENCY_US),
        })
    }

    /// The pattern.
    pub fn route(&self) -> &'static str {
        self.route
    }

    /// Counts an answer, by the time until its head was there.
    pub fn observe(&self, status: u16, duration: Duration) {
        let at = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        self.by_status[at].fetch_add(1, Ordering::Relaxed);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.observe(us);
    }
}

/// The requests of every route; filled once, when the routes are known.
#[derive(Debug, Default)]
pub struct Requests(OnceLock<Vec<Arc<RequestMetrics>>>);

impl Requests {
    /// These are all there are.
    pub fn set(&self, routes: Vec<Arc<RequestMetrics>>) {
        let _ = self.0.set(routes);
    }

    /// Writes what was asked so far. Routes that nobody asked for are left out.
    pub fn write(&self, text: &mut Text) {
        let routes: Vec<_> = self.0.get().into_iter().flatten().collect();
        text.family("skep_http_requests_total", "counter", "Requests answered.");
        for stats in &routes {
            for (at, count) in stats.by_status.iter().enumerate() {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    let status = STATUSES.get(at).map_or("other".to_owned(), u16::to_string);
                    let labels = [
                        ("method", stats.method.as_str()),
                        ("route", stats.route),
                        ("status", status.as_str()),
                    ];
                    text.sample("skep_http_requests_total", &labels, count as f64);
                }
            }
        }
        let name = "skep_http_request_duration_seconds";
        let help = "Time from a request's head to its answer's.";
        text.family(name, "histogram", help);
        for stats in &routes {
            let read = stats.latency_us.read();
            if read.1 > 0 {
                let labels = [("method", stats.method.as_str()), ("route", stats.route)];
                text.histogram(name, &labels, read, US_PER_S);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_place() {
        assert!(STATUSES.is_sorted());
        let stats = RequestMetrics::new("GET", "/a/{b}");
        for status in [200, 503, 599, 100] {
            stats.observe(status, Duration::from_millis(3));
        }
        let requests = Requests::default();
        requests.set(vec![stats]);
        let mut text = Text::default();
        requests.write(&mut text);
        let text = text.into_string();
        for line in [
            "skep_http_requests_total{method=\"GET\",route=\"/a/{b}\",status=\"200\"} 1\n",
            "skep_http_requests_total{method=\"GET\",route=\"/a/{b}\",status=\"503\"} 1\n",
            "skep_http_requests_total{method=\"GET\",route=\"/a/{b}\",status=\"other\"} 2\n",
            "skep_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{b}\",le=\"0.0025\"} 0\n",
            "skep_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{b}\",le=\"0.005\"} 4\n",
            "skep_http_request_duration_seconds_bucket{method=\"GET\",route=\"/a/{b}\",le=\"+Inf\"} 4\n",
            "skep_http_request_duration_seconds_count{method=\"GET\",route=\"/a/{b}\"} 4\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
