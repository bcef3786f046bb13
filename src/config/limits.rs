//! The bounds of every queue, body, line and wait: `[limits]` in `skep.toml`.

use super::settings;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

settings! {
    /// The bounds of every queue, body, line and wait. Nothing in Skep grows or waits beyond one of these.
    pub struct Limits in "limits.", "SKEP_", |config| &mut config.limits => {
        /// Connections that may be open, in all.
        connections_max: usize = 10_240, in 1..=1_000_000;
        /// Connections that may be open from one address. Loopback and trusted proxies are not counted: a proxy stands for everybody.
        connections_per_address_max: usize = 256, in 1..=1_000_000;
        /// Event streams that may be open, in all.
        streams_max: usize = 10_000, in 1..=1_000_000;
        /// The head of a request.
        head_bytes_max: usize = 32 * KIB as usize, in 1024..=MIB as usize;
        /// The time a request's head may take, and an idle connection may wait for the next one.
        head_timeout_s: u64 = 10, in 1..=600;
        /// The path and query of a request.
        uri_bytes_max: usize = 8 * KIB as usize, in 256..=MIB as usize;
        /// The time between two pieces of a request's body.
        body_chunk_timeout_s: u64 = 30, in 1..=600;
        /// The time a client may leave what was sent to it unread.
        write_stall_timeout_s: u64 = 60, in 1..=3_600;
        /// Requests that one HTTP/2 connection may have open.
        http2_streams_max: u32 = 100, in 1..=10_000;
        /// The time a TLS handshake may take, its wait for a place included.
        tls_handshake_timeout_s: u64 = 10, in 1..=600;
        /// TLS handshakes at a time; more wait for their place.
        tls_handshakes_max: usize = 512, in 1..=65_536;
        /// The time requests have to finish when the server stops.
        drain_timeout_s: u64 = 10, in 0..=600;

        /// Memory that redb may use for its cache.
        redb_cache_bytes: usize = 8 * MIB as usize, in MIB as usize..=4096 * MIB as usize;
        /// Commands that share one sync of the journal.
        batch_commands_max: usize = 256, in 1..=65_536;
        /// Commands that may wait for the writer; more wait with their callers.
        commands_waiting_max: usize = 4_096, in 1..=65_536;
        /// A journal segment is sealed at this size at the earliest.
        segment_bytes_min: u64 = 64 * MIB, in MIB..=4096 * MIB;
        /// A journal segment is sealed at this age at the latest.
        segment_age_max_s: u64 = 86_400, in 60..=31 * 86_400;
        /// redb is synced once this much of it changed.
        checkpoint_dirty_bytes: u64 = 8 * MIB, in MIB..=1024 * MIB;

        /// A search query; a longer one is refused.
        search_query_bytes_max: usize = 1024, in 16..=64 * KIB as usize;
        /// Searches that are answered at a time; more wait.
        search_questions_max: usize = 4, in 1..=1024;
        /// Memory that the search index may use for its cache while it is open.
        search_cache_bytes: usize = 2 * MIB as usize, in MIB as usize..=4096 * MIB as usize;

        /// The time after a start until `[retention]` is looked after; a start has other things to do.
        retention_after_start_s: u64 = 60, in 0..=86_400;
        /// The time between two looks after `[retention]`.
        retention_interval_s: u64 = 3_600, in 1..=31 * 86_400;
        /// Executions, logs and uploads, each, that one look removes at most; the next one follows at once.
        retention_removed_max: usize = 10_000, in 1..=1_000_000;

        /// The time between SIGTERM and SIGKILL.
        stop_grace_s: u64 = 5, in 1..=600;
        /// The time an engine has to exit after its final result.
        exit_after_result_s: u64 = 10, in 1..=600;

        /// The time a connection to a model server may take.
        model_connect_timeout_s: u64 = 10, in 1..=600;
        /// The time a model server may take to begin its answer: it may have to load a model and read a long chat.
        model_answer_timeout_s: u64 = 300, in 1..=3_600;
        /// The time between two pieces of a model's answer.
        model_idle_timeout_s: u64 = 120, in 1..=3_600;
        /// How often a request that a model server turned away (429, 5xx) is tried again.
        model_retries_max: u32 = 4, in 0..=20;
        /// The longest wait before that; a server that asks for more is not waited for.
        model_retry_wait_max_s: u64 = 60, in 1..=3_600;
        /// Requests to a model in one execution, each with the answers of the tools it called.
        model_rounds_max: u32 = 50, in 1..=1_000;
        /// The time a command of a tool may run.
        tool_command_timeout_s: u64 = 120, in 1..=3_600;
    }
}
