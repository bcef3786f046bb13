//! The bounds of every queue, body, line and wait: `[limits]` in `skep.toml`.

use super::settings;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

settings! {
    /// The bounds of every queue, body, line and wait. Nothing in Skep grows or waits beyond one of these.
    pub struct Limits in "limits.", "SKEP_", |config| &mut config.limits => {
        /// Executions that may wait for their turn, in all.
        executions_pending_max: usize = 10_000, in 1..=1_000_000;
        /// Executions that may wait for their turn in one chat.
        executions_pending_per_session_max: usize = 100, in 1..=1_000_000;

        /// Connections that may be open, in all.
        connections_max: usize = 10_240, in 1..=1_000_000;
        /// Connections that may be open from one address. Loopback is not counted: a proxy there stands for everybody.
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
        /// A JSON body.
        json_bytes_max: usize = MIB as usize, in 1024..=16 * MIB as usize;
        /// The time requests have to finish when the server stops.
        drain_timeout_s: u64 = 10, in 0..=600;

        /// The time between two comments on a stream where nothing happens.
        stream_heartbeat_s: u64 = 15, in 1..=600;
        /// Text deltas that one reader of a stream is sent; more are joined.
        deltas_per_s: u32 = 30, in 1..=1_000;
        /// Stored events that a stream reads from the store at once.
        stream_page_events: usize = 256, in 1..=10_000;

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
        /// Snapshots that are kept, with the journal since the oldest of them.
        snapshot_generations: usize = 2, in 2..=100;
        /// The age a superseded file reaches before it is removed, so that a slow copy never meets a gap.
        superseded_age_min_s: u64 = 3_600, in 0..=31 * 86_400;

        /// The time between SIGTERM and SIGKILL.
        stop_grace_s: u64 = 5, in 1..=600;
        /// The time an engine has to exit after its final result.
        exit_after_result_s: u64 = 10, in 1..=600;
        /// The longest line of an engine that is still understood; the log keeps longer ones too.
        engine_line_bytes_max: usize = 16 * MIB as usize, in 1024..=1024 * MIB as usize;
    }
}
