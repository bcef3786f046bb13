//! A server of files: nginx where it is installed, else a loop around sendfile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::sendfile;
use skep::cli::bench::{Process, Target, answers};

use super::Figures;

/// A running one.
pub struct Files {
    pub name: &'static str,
    pub target: Target,
    _nginx: Option<Process>,
}

impl Files {
    /// Serves what is in `root`.
    pub fn serve(figures: &Figures, root: &Path) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let target = Target {
            address,
            authorization: String::new(),
        };
        match nginx() {
            Some(program) => {
                drop(listener);
                let nginx = start_nginx(figures, &program, root, address)?;
                Ok(Self {
                    name: "nginx",
                    target,
                    _nginx: Some(nginx),
                })
            }
            None => {
                let root = root.to_owned();
                std::thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let root = root.clone();
                        std::thread::spawn(move || serve(stream, &root));
                    }
                });
                Ok(Self {
                    name: "sendfile",
                    target,
                    _nginx: None,
                })
            }
        }
    }
}

fn nginx() -> Option<PathBuf> {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    places
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

fn start_nginx(
    figures: &Figures,
    program: &Path,
    root: &Path,
    address: SocketAddr,
) -> io::Result<Process> {
    let own = figures.dir().join("nginx");
    std::fs::create_dir_all(&own)?;
    let is_root = rustix::process::geteuid().is_root();
    let user = if is_root { "user root;" } else { "" };
    let settings = format!(
        "{user} daemon off; worker_processes 1; pid {own}/pid; error_log stderr crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type text/plain;\n\
         client_body_temp_path {own}; proxy_temp_path {own}; fastcgi_temp_path {own}; uwsgi_temp_path {own};\n\
         scgi_temp_path {own}; server {{ listen {address}; root {root}; }} }}\n",
        own = own.display(),
        root = root.display(),
    );
    let path = own.join("nginx.conf");
    std::fs::write(&path, settings)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(&path).arg("-p").arg(&own);
    let process = Process::start(&mut command, &own, &own.join("log"))?;
    let first = std::fs::read_dir(root)?.flatten().next();
    let first = first.map_or(String::new(), |entry| {
        entry.file_name().to_string_lossy().into_owned()
    });
    for _ in 0..200 {
        if answers(address, &format!("/{first}")).is_ok() {
            return Ok(process);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other("nginx does not answer"))
}

/// Answers GETs for files on one connection.
fn serve(mut stream: TcpStream, root: &Path) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&piece[..count]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let name = text.split(' ').nth(1).unwrap_or_default();
        let file = File::open(root.join(name.trim_start_matches('/')))?;
        let mut left = file.metadata()?.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
            left -= sendfile(&stream, &file, None, most)? as u64;
        }
        request.clear();
    }
}
