//! What a tier allows, as its owner's own settings say it.

use serde_json::json;

use crate::support::{Setup, TestServer};

const TIER: &str =
    "[tier]\nname = \"pro\"\nfeatures = [\"backup\"]\n[tier.limits]\nworkers = 2\nsessions = 1\n";

/// What is made by a tool counts as what is made by a route.
#[tokio::test]
async fn tools_make_no_more_than_the_tier_allows() {
    let server = TestServer::with(&format!("{TIER}tasks = 1\n")).await;
    let user = server.log_in().await;
    for (tool, arguments, limit) in [
        ("create_worker", "name", 2),
        ("create_task", "instruction", 1),
    ] {
        for made in 0..=limit {
            let mut given = json!({ arguments: format!("help {made}") });
            if tool == "create_task" {
                given["cron_expr"] = json!("0 0 1 1 *");
            }
            let params = json!({ "name": tool, "arguments": given });
            let body =
                json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            let answer = user.post("/mcp", &body).await.expect(200).json();
            let is_refused = &answer["result"]["isError"];
            assert_eq!(*is_refused, json!(made == limit), "{tool}: {answer}");
        }
    }
}

/// A chat is one, whoever's words it is made in.
#[tokio::test]
async fn a_conversation_of_openais_clients_counts_as_a_chat() {
    let server = TestServer::with(TIER).await;
    let user = server.log_in().await;
    let said = json!([{ "role": "user", "content": "help" }]);
    let mut asked = json!({ "model": "bee", "messages": said });
    let completions = "/v1/chat/completions";
    let answer = user.post(completions, &asked).await.expect(200).json();
    let refused = user.post(completions, &asked).await;
    let body = refused.refused(402, "tier_limit");
    assert_eq!(body["error"]["details"]["resource"], "sessions", "{body}");
    // The one that is there goes on.
    asked["metadata"] = json!({ "session_id": answer["session_id"] });
    user.post(completions, &asked).await.expect(200);
}

#[tokio::test]
async fn one_too_many_is_402_and_says_why() {
    let server = TestServer::with(TIER).await;
    let user = server.log_in().await;
    for name in ["Ada", "Grace"] {
        user.post("/api/workers", &json!({ "name": name }))
            .await
            .expect(201);
    }
    let refused = user.post("/api/workers", &json!({ "name": "Alan" })).await;
    let body = refused.refused(402, "tier_limit");
    assert_eq!(
        body["details"],
        json!({ "tier": "pro", "resource": "workers", "limit": 2, "current": 2 })
    );
    assert_eq!(
        body["message"],
        "Your tier doesn't allow more than 2 workers"
    );
    user.chat().await;
    user.post("/api/local/sessions", &json!({ "name": "x" }))
        .await
        .refused(402, "tier_limit");
    // It is a limit on how many there are, not on how many there were.
    let workers = user.read("/api/workers").await;
    let path = format!("/api/workers/{}", workers[0]["id"].as_str().unwrap());
    user.delete(&path).await.expect(200);
    user.post("/api/workers", &json!({ "name": "Alan" }))
        .await
        .expect(201);
    // The refused one left nothing behind.
    assert_eq!(
        std::fs::read_dir(server.data.join("workers"))
            .unwrap()
            .count(),
        2
    );
}

/// Many at once do not get past it together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_against_a_race() {
    let server = TestServer::with(TIER).await;
    let user = server.log_in().await;
    let calls: Vec<_> = (0..16)
        .map(|n| {
            let user = user.clone();
            let name = format!("W{n}");
            tokio::spawn(async move {
                user.post("/api/workers", &json!({ "name": name }))
                    .await
                    .status
            })
        })
        .collect();
    let mut made = 0;
    for call in calls {
        match call.await.unwrap() {
            201 => made += 1,
            status => assert_eq!(status, 402),
        }
    }
    assert_eq!(made, 2);
}

#[tokio::test]
async fn what_the_tier_leaves_out_is_403_and_says_so() {
    let server = TestServer::with(TIER).await;
    let user = server.log_in().await;
    let key = json!({ "name": "x", "scopes": ["read"] });
    let refused = user.post("/api/tokens", &key).await;
    let body = refused.refused(403, "license_feature_required");
    assert_eq!(
        body["details"],
        json!({ "feature": "api_keys", "tier": "pro" })
    );
    user.get("/api/tokens").await.expect(200);
    user.get("/api/backup").await.expect(200);
    // Without a tier there is everything.
    let server = TestServer::start().await;
    server
        .log_in()
        .await
        .post("/api/tokens", &key)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_tier_that_limits_nothing_known_is_refused() {
    for (settings, named) in [
        ("[tier]\nlimits = { wrokers = 1 }", "wrokers"),
        ("[tier]\nfeatures = [\"teleport\"]", "teleport"),
        ("[tier]\nnmae = \"pro\"", "nmae"),
        ("[tier]\nlimits = { workers = -1 }", "-1"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let (code, stderr) = Setup::settings(settings).fails_to_start(home.path()).await;
        assert_ne!(code, Some(0));
        assert!(
            stderr.contains("tier") && stderr.contains(named),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn the_settings_say_what_may_be_and_what_there_is() {
    let text = format!("{TIER}[retention]\nlogs_age = \"90d\"\nuploads_bytes = 1000\n");
    let server = TestServer::with(&text).await;
    let user = server.log_in().await;
    user.worker("Ada", "builtin").await;
    let settings = user.read("/api/settings").await;
    assert_eq!(
        settings["tier"],
        json!({
            "name": "pro",
            "resources": [
                { "name": "workers", "current": 1, "limit": 2 },
                { "name": "sessions", "current": 0, "limit": 1 },
                { "name": "tokens", "current": 0, "limit": null },
                { "name": "tasks", "current": 0, "limit": null },
            ],
            "features": ["backup"],
        })
    );
    assert_eq!(
        settings["retention"],
        json!({ "executions_age": null, "logs_age": "90d", "logs_bytes": null, "uploads_age": null, "uploads_bytes": 1000 })
    );
    assert_eq!(settings["reach"], "loopback");
    assert_eq!(
        settings["data_dir"].as_str(),
        server.data.canonicalize().unwrap().to_str()
    );
    assert_eq!(settings["url"], json!(format!("http://{}", server.address)));
}
