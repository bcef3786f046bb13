//! What this machine can do: the limits that Skep's figures stand beside.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{median, millis, unix_ms};

/// What a frame of the journal holds for a short message.
const FRAME_BYTES: usize = 300;
/// The file that is synced: of fixed size and full of zeros, as the journal is ahead of its end.
const FILE_BYTES: usize = 1 << 20;

/// Milliseconds of one fdatasync of a frame inside a file of fixed size in `dir`.
pub fn fdatasync(dir: &Path, samples: usize) -> io::Result<f64> {
    let path = dir.join("sync");
    let mut options = OpenOptions::new();
    let file: File = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    file.write_all_at(&vec![0; FILE_BYTES], 0)?;
    file.sync_all()?;
    let frame = [7; FRAME_BYTES];
    let mut times = Vec::with_capacity(samples);
    for sample in 0..samples {
        let begin = Instant::now();
        file.write_all_at(&frame, (sample * FRAME_BYTES % (FILE_BYTES / 2)) as u64)?;
        file.sync_data()?;
        times.push(millis(begin.elapsed()));
    }
    std::fs::remove_file(path)?;
    Ok(median(&mut times))
}

/// Milliseconds of one byte there and back over loopback, between two threads.
pub fn loopback(samples: usize) -> io::Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut other, _) = listener.accept()?;
    let echo = std::thread::spawn(move || {
        let _ = other.set_nodelay(true);
        let mut byte = [0];
        while other.read_exact(&mut byte).is_ok() && other.write_all(&byte).is_ok() {}
    });
    stream.set_nodelay(true)?;
    let mut byte = [1];
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let begin = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        times.push(millis(begin.elapsed()));
    }
    drop(stream);
    let _ = echo.join();
    Ok(median(&mut times))
}

/// Milliseconds from before the fork to `date` having read the clock.
pub fn fork_exec(samples: usize) -> io::Result<f64> {
    let mut times = Vec::with_capacity(samples);
    for _ in 0..samples {
        let begin = unix_ms();
        let mut date = Command::new(CLOCK[0]);
        date.args(&CLOCK[1..]).stdin(Stdio::null());
        let output = date.env_clear().output()?;
        times.push(clock_ms(&String::from_utf8_lossy(&output.stdout))? - begin);
    }
    Ok(median(&mut times))
}

/// A program that tells the time it was at when it ran, nanoseconds since 1970.
pub const CLOCK: [&str; 2] = ["/bin/date", "+%s%N"];

/// What [`CLOCK`] printed, milliseconds since 1970.
pub fn clock_ms(printed: &str) -> io::Result<f64> {
    let nanos = printed.trim().parse::<u64>();
    nanos.map(|nanos| nanos as f64 / 1e6).map_err(|_| {
        io::Error::other(format!(
            "`date +%s%N` does not tell nanoseconds here: {printed:?}"
        ))
    })
}
