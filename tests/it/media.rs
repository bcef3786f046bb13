//! Files up and down: what was taken is there, what was refused is not, and no browser runs any of it.

use std::path::Path;

use crate::support::{Method, TestServer};

fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_goes_up_and_comes_down() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let content: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
    let uploaded = user
        .upload(&chat, "a photo.png", &content)
        .await
        .expect(200)
        .json();
    let path = uploaded["path"].as_str().unwrap();
    assert!(Path::new(path).is_absolute());
    assert_eq!(
        std::fs::read(path).unwrap(),
        content,
        "durable before it was acknowledged"
    );
    assert_eq!(uploaded["name"], "a photo.png");
    assert_eq!(uploaded["size"], 300_000);
    assert_eq!(uploaded["content_type"], "image/png");
    let url = uploaded["url"].as_str().unwrap();
    let file = user.get(url).await.expect(200);
    assert_eq!(file.body, content);
    assert_eq!(file.header("content-type"), Some("image/png"));
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    assert!(
        !file
            .header("content-disposition")
            .unwrap_or_default()
            .starts_with("attachment")
    );
    let part = user
        .call(Method::Get, url)
        .header("Range", "bytes=10-19")
        .send()
        .await
        .expect(206);
    assert_eq!(part.body, content[10..20]);
    let server = server.kill().await.start().await;
    assert_eq!(user.at(&server).get(url).await.expect(200).body, content);
}

#[tokio::test]
async fn a_name_that_exists_gets_a_suffix() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let mut urls = Vec::new();
    for content in ["one", "two", "three"] {
        let uploaded = user
            .upload(&chat, "notes.txt", content.as_bytes())
            .await
            .expect(200)
            .json();
        urls.push((uploaded["url"].as_str().unwrap().to_owned(), content));
    }
    for (url, content) in &urls {
        assert_eq!(user.get(url).await.text(), *content);
    }
    let names = files(&server.data.join("uploads").join(&chat));
    assert_eq!(names, ["notes-2.txt", "notes-3.txt", "notes.txt"]);
}

#[tokio::test]
async fn hostile_names_become_harmless_ones() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let uploads = server.data.join("uploads").join(&chat);
    for name in [
        "../../../etc/passwd",
        "..\\\\..\\\\boot.ini",
        "/etc/shadow",
        "..",
        ".",
        ".hidden",
        "-rf",
        "a\tb.txt",
        "CON",
        &format!("nul.{}.txt", "long".repeat(200)),
        "x\u{202e}gnp.exe",
        "",
        &format!("{}.txt", "long".repeat(200)),
        "日本語 – ünï.pdf",
    ] {
        let uploaded = user.upload(&chat, name, b"x").await.expect(200).json();
        let path = Path::new(uploaded["path"].as_str().unwrap());
        assert_eq!(
            path.parent().unwrap(),
            uploads.canonicalize().unwrap(),
            "{name:?}"
        );
        let kept = uploaded["name"].as_str().unwrap();
        assert!(
            !kept.is_empty() && !kept.starts_with(['.', '-']),
            "{kept:?}"
        );
        assert!(
            !kept.contains(['/', '\\']) && !kept.chars().any(char::is_control),
            "{kept:?}"
        );
        assert!(kept.len() <= 255);
        assert_eq!(
            user.get(uploaded["url"].as_str().unwrap())
                .await
                .expect(200)
                .body,
            b"x",
            "{kept:?}"
        );
    }
    assert!(files(&uploads).iter().all(|name| !name.starts_with('.')));
}

/// What a browser might run, and what is no media at all, is handed out as a download of bytes.
#[tokio::test]
async fn only_harmless_kinds_are_shown_in_place() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    for (name, shown) in [
        ("a.png", true),
        ("a.mp3", true),
        ("a.mp4", true),
        ("a.pdf", true),
        ("a.svg", false),
        ("a.html", false),
        ("a.xhtml", false),
        ("a.js", false),
        ("a.xml", false),
        ("a.txt", false),
        ("a", false),
    ] {
        let uploaded = user
            .upload(&chat, name, b"<script>alert(1)</script>")
            .await
            .expect(200)
            .json();
        let file = user
            .get(uploaded["url"].as_str().unwrap())
            .await
            .expect(200);
        let disposition = file.header("content-disposition").unwrap_or_default();
        assert_eq!(
            disposition.starts_with("attachment"),
            !shown,
            "{name}: {disposition}"
        );
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let kind = file.header("content-type").unwrap();
        assert!(
            shown || kind == "application/octet-stream",
            "{name}: {kind}"
        );
        assert!(
            file.header("content-security-policy")
                .unwrap()
                .starts_with("default-src 'none'")
        );
    }
}

#[tokio::test]
async fn too_large_a_file_is_refused_and_nothing_is_left() {
    let server = TestServer::with("upload_bytes_max = 100000").await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let uploads = server.data.join("uploads").join(&chat);
    user.upload(&chat, "a.bin", &vec![0; 100_001])
        .await
        .refused(413, "payload_too_large");
    user.upload(&chat, "a.bin", &vec![0; 5_000_000])
        .await
        .refused(413, "payload_too_large");
    assert_eq!(files(&uploads), [""; 0]);
    user.upload(&chat, "a.bin", &vec![0; 100_000])
        .await
        .expect(200);
    assert_eq!(files(&uploads), ["a.bin"]);
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let path = format!("/api/local/sessions/{chat}/media");
    let call = || user.call(Method::Post, &path);
    call()
        .json(&serde_json::json!({}))
        .send()
        .await
        .refused(415, "unsupported_media_type");
    call()
        .body("multipart/form-data", "x")
        .send()
        .await
        .refused(415, "unsupported_media_type");
    call()
        .file("other", "a.txt", b"x")
        .send()
        .await
        .refused(400, "bad_request");
    call().send().await.refused(415, "unsupported_media_type");
    for broken in [
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf",
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf\r\n--",
        "no boundary at all",
        "--B--\r\n",
        "--B\r\n\r\n\r\n--B--\r\n",
    ] {
        let answer = call()
            .body("multipart/form-data; boundary=B", broken)
            .send()
            .await;
        answer.refused(400, "bad_request");
    }
    // A client that promises more than it sends, and hangs up.
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: multipart/form-data; boundary=B\r\n\
         Content-Length: 100000\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhalf",
        server.address, user.access
    );
    crate::support::http::raw(server.address, head.as_bytes()).await;
    let uploads = server.data.join("uploads").join(&chat);
    crate::support::eventually("the partial file is gone", crate::support::PATIENCE, || {
        files(&uploads).is_empty().then_some(())
    })
    .await;
    user.upload(&chat, "a.txt", b"x").await.expect(200);
}

#[tokio::test]
async fn links_and_other_places_are_not_served() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let (chat, other) = (user.chat().await, user.chat().await);
    user.upload(&chat, "a.txt", b"mine").await.expect(200);
    let uploads = server.data.join("uploads").join(&chat);
    std::os::unix::fs::symlink("/etc/passwd", uploads.join("link.txt")).unwrap();
    std::os::unix::fs::symlink(server.data.join("keys"), uploads.join("keys")).unwrap();
    std::fs::create_dir(uploads.join("dir")).unwrap();
    std::fs::write(uploads.join(".hidden"), "x").unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(uploads.join("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    let base = format!("/api/local/sessions/{chat}/media");
    for name in [
        "link.txt",
        "keys",
        "keys%2fsigning.key",
        "dir",
        ".hidden",
        "fifo",
        "missing",
        "..%2f..%2fkeys%2fsigning.key",
        "%2e%2e%2f%2e%2e%2finstance.json",
        "..",
        "%2fetc%2fpasswd",
        "a.txt%00",
        "a.txt%2f",
    ] {
        user.get(&format!("{base}/{name}"))
            .await
            .refused(404, "not_found");
    }
    user.get(&format!("/api/local/sessions/{other}/media/a.txt"))
        .await
        .refused(404, "not_found");
    user.get(&format!("{base}/a.txt")).await.expect(200);
}
