//! What the system says of this process, under the names that every exporter uses.

use super::text::Text;

/// A look at this process; what the system does not tell is missing.
#[derive(Debug, Default)]
pub struct Process {
    resident_bytes: Option<u64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
    threads: Option<u64>,
    started_s: Option<f64>,
    cpu_s: Option<f64>,
}

impl Process {
    /// Looks, which reads a few small files of `/proc`.
    pub fn look() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let number = |text: &str| text.split_whitespace().next()?.parse::<u64>().ok();
        let status = read("/proc/self/status").unwrap_or_default();
        let of_status = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            number(line)
        };
        let limits = read("/proc/self/limits").unwrap_or_default();
        let max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(number);
        let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu_s = usage.tv_sec as f64 + usage.tv_nsec as f64 / 1e9;
        Self {
            resident_bytes: of_status("VmRSS:").map(|kib| kib * 1024),
            open_fds: std::fs::read_dir("/proc/self/fd")
                // The directory itself is open while it is read.
                .map(|open| (open.count() as u64).saturating_sub(1))
                .ok(),
            max_fds,
            threads: of_status("Threads:"),
            started_s: started_s(),
            cpu_s: Some(cpu_s),
        }
    }

    /// Writes it.
    pub fn write(&self, text: &mut Text) {
        let count = |value: Option<u64>| value.map(|value| value as f64);
        for (name, kind, help, value) in [
            (
                "process_resident_memory_bytes",
                "gauge",
                "Resident memory size in bytes.",
                count(self.resident_bytes),
            ),
            (
                "process_open_fds",
                "gauge",
                "Open file descriptors.",
                count(self.open_fds),
            ),
            (
                "process_max_fds",
                "gauge",
                "File descriptors that may be open.",
                count(self.max_fds),
            ),
            ("process_threads", "gauge", "Threads.", count(self.threads)),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time in seconds since 1970.",
                self.started_s,
            ),
            (
                "process_cpu_seconds_total",
                "counter",
                "Processor time in seconds.",
                self.cpu_s,
            ),
        ] {
            if let Some(value) = value {
                text.family(name, kind, help);
                text.sample(name, &[], value);
            }
        }
    }
}

/// When the process started: the boot time, plus its start in clock ticks after that.
fn started_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let booted: f64 = stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let own = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name stands in parentheses and may hold anything; fields count from behind it.
    let (_, fields) = own.rsplit_once(") ")?;
    let ticks: f64 = fields.split(' ').nth(19)?.parse().ok()?;
    Some(booted + ticks / rustix::param::clock_ticks_per_second() as f64)
}
