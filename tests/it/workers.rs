//! Workers, by every door of the API.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::json::is_id;
use crate::support::user::id_of;
use crate::support::{Method, TestServer, masked};

fn is_private(path: &str) -> bool {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o700
}

#[tokio::test]
async fn a_worker_is_created_with_nothing_but_a_name() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let answer = user
        .post("/api/workers", &json!({ "name": "  Assistant " }))
        .await
        .expect(201);
    let worker = answer.json();
    let id = id_of(&worker);
    assert_eq!(
        answer.header("location"),
        Some(&*format!("/api/workers/{id}"))
    );
    assert_eq!(
        masked(&worker, &server.data.canonicalize().unwrap()),
        json!({
            "id": "<id>", "name": "Assistant", "description": "", "memory": "",
            "work_dir": "<data>/workers/<id>", "status": "idle",
            "engine": null, "model": null, "permissions": null, "timeout_s": null, "queue_length": 0,
            "daily_cost_max": null, "cost_today": 0.0, "always_allowed": [],
            "created_at": "<time>", "updated_at": "<time>",
        })
    );
    assert!(is_private(worker["work_dir"].as_str().unwrap()));
    assert_eq!(user.read(&format!("/api/workers/{id}")).await, worker);
    assert_eq!(user.read("/api/workers").await, json!([worker]));
}

#[tokio::test]
async fn a_worker_keeps_everything_it_was_given() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let work_dir = server.home.path().join("project");
    let given = json!({
        "name": "Ada", "description": "Counts", "memory": "You count.\nAlways.", "work_dir": work_dir,
        "engine": "builtin", "model": "a/model-1", "permissions": "ask", "timeout_s": 60, "unknown": true,
    });
    let worker = user.post("/api/workers", &given).await.expect(201).json();
    for field in [
        "name",
        "description",
        "memory",
        "work_dir",
        "engine",
        "model",
        "permissions",
        "timeout_s",
    ] {
        assert_eq!(worker[field], given[field], "{field}");
    }
    assert!(is_private(work_dir.to_str().unwrap()), "it was created");
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let path = format!("/api/workers/{}", id_of(&worker));
    assert_eq!(user.at(&server).read(&path).await, worker);
}

#[tokio::test]
async fn lists_are_arrays_and_newest_first() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    assert_eq!(user.read("/api/workers").await, json!([]));
    for name in ["a", "b", "c"] {
        user.worker(name, "").await;
    }
    let names = |rows: &Value| -> Vec<String> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&user.read("/api/workers").await), ["c", "b", "a"]);
    let page = user.get("/api/workers?limit=2").await.expect(200);
    assert_eq!(names(&page.json()), ["c", "b"]);
    let rest = user.get(&page.next_page().unwrap()).await.expect(200);
    assert_eq!(names(&rest.json()), ["a"]);
    assert_eq!(rest.next_page(), None);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "cursor=nonsense",
    ] {
        user.get(&format!("/api/workers?{bad}"))
            .await
            .refused(400, "bad_request");
    }
}

#[tokio::test]
async fn a_change_touches_what_is_given_and_nothing_else() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let body = json!({ "name": "Ada", "description": "Counts", "memory": "m", "model": "x" });
    let id = user.worker_with(&body).await;
    let path = format!("/api/workers/{id}");
    let before = user.read(&path).await;
    let changed = user
        .put(&path, &json!({ "description": "Reckons" }))
        .await
        .expect(200)
        .json();
    let mut expected = before.clone();
    expected["description"] = json!("Reckons");
    expected["updated_at"] = changed["updated_at"].clone();
    assert_eq!(changed, expected);
    assert!(changed["updated_at"].as_u64() >= before["updated_at"].as_u64());

    let cleared = json!({ "description": "", "memory": "", "model": "" });
    let cleared = user.put(&path, &cleared).await.expect(200).json();
    assert_eq!([&cleared["description"], &cleared["memory"]], ["", ""]);
    assert_eq!(cleared["model"], Value::Null);
    assert_eq!(cleared["name"], "Ada");
    assert_eq!(
        user.put(&path, &json!({ "name": "" }))
            .await
            .invalid_fields(),
        ["name"]
    );
    assert_eq!(
        user.put(&path, &json!({})).await.expect(200).json()["name"],
        "Ada"
    );
    assert_eq!(
        user.put(&path, &json!({ "name": "ada" }))
            .await
            .expect(200)
            .json()["name"],
        "ada"
    );
}

#[tokio::test]
async fn names_are_unique_whatever_their_case() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    user.worker("Ada", "").await;
    let other = user.worker("Éva", "").await;
    for name in ["Ada", "ADA", " ada ", "éva"] {
        user.post("/api/workers", &json!({ "name": name }))
            .await
            .refused(409, "conflict");
    }
    let path = format!("/api/workers/{other}");
    user.put(&path, &json!({ "name": "aDA" }))
        .await
        .refused(409, "conflict");
    assert_eq!(user.read("/api/workers").await.as_array().unwrap().len(), 2);
    let dirs = std::fs::read_dir(server.data.join("workers"))
        .unwrap()
        .count();
    assert_eq!(dirs, 2, "a refused worker leaves no directory behind");
}

#[tokio::test]
async fn bad_workers_are_refused_by_field() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let post = |body: Value| {
        let user = user.clone();
        async move { user.post("/api/workers", &body).await }
    };
    post(json!({})).await.refused(400, "bad_request");
    post(json!({ "name": 5 })).await.refused(400, "bad_request");
    post(json!({ "name": null }))
        .await
        .refused(400, "bad_request");
    post(json!({ "name": "a", "timeout_s": -1 }))
        .await
        .refused(400, "bad_request");
    post(json!({ "name": "a", "timeout_s": "soon" }))
        .await
        .refused(400, "bad_request");
    post(json!(["name"])).await.refused(400, "bad_request");
    for name in [
        "",
        "   ",
        "bee",
        "BEE",
        " bee ",
        "a\nb",
        "a\u{0}b",
        &"x".repeat(101),
    ] {
        assert_eq!(
            post(json!({ "name": name })).await.invalid_fields(),
            ["name"],
            "{name:?}"
        );
    }
    post(json!({ "name": "ü".repeat(100) })).await.expect(201);
    for (field, value) in [
        ("description", json!("x".repeat(4097))),
        ("memory", json!("x".repeat(256 * 1024 + 1))),
        ("memory", json!("a\u{0}b")),
        ("engine", json!("no-such-engine")),
        ("model", json!("--dangerous")),
        ("permissions", json!("everything")),
        ("timeout_s", json!(86_401)),
    ] {
        let answer = post(json!({ "name": "a", field: value })).await;
        assert_eq!(answer.invalid_fields(), [field]);
    }
    let several =
        post(json!({ "name": "", "engine": "no-such-engine", "timeout_s": 86_401 })).await;
    assert_eq!(several.invalid_fields(), ["name", "engine", "timeout_s"]);
    assert_eq!(user.read("/api/workers").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_work_directory_is_nobody_elses_place() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let home = server.home.path();
    let data = server.data.canonicalize().unwrap();
    std::fs::write(home.join("file"), "x").unwrap();
    std::os::unix::fs::symlink(&data, home.join("link")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for bad in [
        "relative/path".to_owned(),
        "/".to_owned(),
        "//".to_owned(),
        text(home),
        text(&data),
        text(&data.join("workers")),
        text(&data.join("keys/x")),
        text(data.parent().unwrap()),
        text(&home.join("link")),
        text(&home.join("link/keys")),
        format!("{}/x/../hive", text(home)),
        text(&home.join("file")),
        text(&home.join("file/below")),
        "/proc/nowhere".to_owned(),
        format!("{}/nul\u{0}", text(home)),
        format!("/{}", "x/".repeat(3000)),
    ] {
        let answer = user
            .post("/api/workers", &json!({ "name": "a", "work_dir": bad }))
            .await;
        assert_eq!(answer.invalid_fields(), ["work_dir"], "{bad}");
    }
    assert_eq!(user.read("/api/workers").await, json!([]));
    let deep = text(&home.join("a/b/c"));
    let worker = user
        .post("/api/workers", &json!({ "name": "a", "work_dir": deep }))
        .await
        .expect(201)
        .json();
    assert_eq!(worker["work_dir"], deep);
    assert!(Path::new(&deep).is_dir());
}

#[tokio::test]
async fn a_directory_is_removed_only_if_skep_made_it() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let home = server.home.path();
    let delete = |id: &str| {
        user.call(
            Method::Delete,
            &format!("/api/workers/{id}?delete_work_dir=true"),
        )
        .send()
    };
    let with = |name: &str, dir: &Path| json!({ "name": name, "work_dir": dir });

    // Its own.
    let own = user.worker("own", "").await;
    let dir = server.data.join("workers").join(&own);
    std::fs::write(dir.join("work.txt"), "x").unwrap();
    assert_eq!(
        delete(&own).await.expect(200).json(),
        json!({ "status": "deleted" })
    );
    assert!(!dir.exists());
    user.get(&format!("/api/workers/{own}"))
        .await
        .refused(404, "not_found");
    delete(&own).await.refused(404, "not_found");

    // One that was there before.
    let theirs = home.join("theirs");
    std::fs::create_dir(&theirs).unwrap();
    let id = user.worker_with(&with("theirs", &theirs)).await;
    delete(&id).await.refused(409, "work_dir_not_owned");
    user.get(&format!("/api/workers/{id}")).await.expect(200);
    user.delete(&format!("/api/workers/{id}")).await.expect(200);
    assert!(theirs.exists());

    // One that was made, and then replaced by another of the same name.
    let made = home.join("made");
    let id = user.worker_with(&with("made", &made)).await;
    let first = std::fs::metadata(&made).unwrap().ino();
    std::fs::rename(&made, home.join("moved")).unwrap();
    std::fs::create_dir(&made).unwrap();
    assert_ne!(std::fs::metadata(&made).unwrap().ino(), first);
    delete(&id).await.refused(409, "work_dir_not_owned");
    std::fs::remove_dir(&made).unwrap();
    std::os::unix::fs::symlink(home.join("moved"), &made).unwrap();
    delete(&id).await.refused(409, "work_dir_not_owned");
    std::fs::remove_file(&made).unwrap();
    std::fs::rename(home.join("moved"), &made).unwrap();

    // One that two workers share, or that another works inside.
    let second = user
        .worker_with(&with("second", &made.join("inside")))
        .await;
    delete(&id).await.refused(409, "work_dir_not_owned");
    delete(&second).await.expect(200);
    delete(&id).await.expect(200);
    assert!(!made.exists());
    assert!(!made.join("inside").exists());
    user.call(
        Method::Delete,
        &format!("/api/workers/{id}?delete_work_dir=perhaps"),
    )
    .send()
    .await
    .refused(400, "bad_request");
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let unknown = uuid::Uuid::now_v7().to_string();
    for id in [&*unknown, "x", "%00", "..%2f..", "0", &"a".repeat(2000)] {
        let path = format!("/api/workers/{id}");
        user.get(&path).await.refused(404, "not_found");
        user.put(&path, &json!({ "name": "x" }))
            .await
            .refused(404, "not_found");
        user.delete(&path).await.refused(404, "not_found");
        user.get(&format!("{path}/executions"))
            .await
            .refused(404, "not_found");
    }
    let id = user.worker("a", "").await;
    assert!(is_id(&id));
    assert_eq!(
        user.read(&format!("/api/workers/{id}/executions")).await,
        json!([])
    );
}

#[tokio::test]
async fn the_bee_is_always_there_and_can_be_told_things() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let bee = user.read("/api/bee").await;
    assert_eq!(
        bee,
        json!({
            "name": "bee", "engine": null, "model": null, "memory": "", "updated_at": null,
            "always_allowed": [],
        })
    );
    let told = json!({ "memory": "Be brief.", "engine": "builtin" });
    let changed = user.put("/api/bee", &told).await.expect(200).json();
    assert_eq!(changed["memory"], "Be brief.");
    assert_eq!(changed["engine"], "builtin");
    assert_eq!(
        user.put("/api/bee", &json!({ "engine": "nope" }))
            .await
            .invalid_fields(),
        ["engine"]
    );
    let server = server.restart().await;
    assert_eq!(user.at(&server).read("/api/bee").await, changed);
}
