//! What uses the disk.

use crate::support::{Method, TestServer};

/// Each part is told, a count is kept for a while, and only who may read sees it.
#[tokio::test]
async fn the_disks_use_is_told_by_what_takes_it() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    user.upload(&chat, "large.bin", &vec![7; 1 << 20])
        .await
        .expect(200);
    user.ask(&chat, "help").await;
    let first = user.read("/api/storage").await;
    let bytes = |name: &str| {
        first[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {first}"))
    };
    assert!(bytes("uploads_bytes") >= 1 << 20, "{first}");
    for name in [
        "journal_bytes",
        "hive_bytes",
        "logs_bytes",
        "workers_bytes",
        "free_bytes",
    ] {
        assert!(bytes(name) > 0, "{name} in {first}");
    }
    assert_eq!(bytes("age_ms"), 0);
    assert_eq!(first["complete"], true);

    // Counted once: what came since is not in it, and its age is told.
    user.upload(&chat, "other.bin", &vec![7; 1 << 20])
        .await
        .expect(200);
    let second = user.read("/api/storage").await;
    assert_eq!(second["uploads_bytes"], first["uploads_bytes"]);
    assert!(second["age_ms"].as_u64().unwrap() > 0);
    let anonymous = server.call(Method::Get, "/api/storage").send().await;
    anonymous.refused(401, "missing_token");
}
