//! Bee Flow's agents: the same workers, in other words.

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::user::id_of;
use crate::support::{Method, Setup, TestServer, User};

const AGENTS: &str = "/api/agents";

async fn start() -> (TestServer, User) {
    let server = Setup::settings(&settings()).start().await;
    let user = server.log_in().await;
    (server, user)
}

async fn create(user: &User, body: &Value) -> Value {
    user.post(AGENTS, body).await.expect(201).json()
}

/// What stays the same from run to run.
fn shown(agent: &Value) -> Value {
    let mut shown = agent.clone();
    for masked in ["id", "createdAt", "updatedAt"] {
        let value = shown.as_object_mut().unwrap().remove(masked).unwrap();
        assert!(value.is_string(), "{agent}");
    }
    shown
}

#[tokio::test]
async fn an_agent_has_the_documented_shape_and_is_a_worker() {
    let (_server, user) = start().await;
    let body = json!({
        "name": " Researcher ", "description": "Looks things up", "systemPrompt": "Be brief.",
        "engine": "fake", "model": "m1", "starterPrompts": ["What is new?"],
        "tools": ["read_file", "list_workers"], "knowledgeBaseIds": ["kb_1"], "unknown": 1,
    });
    let answer = user.post(AGENTS, &body).await.expect(201);
    let agent = answer.json();
    let id = id_of(&agent);
    let path = format!("{AGENTS}/{id}");
    assert_eq!(answer.header("location"), Some(&*path));
    assert_eq!(
        shown(&agent),
        json!({
            "name": "Researcher", "description": "Looks things up", "systemPrompt": "Be brief.",
            "model": "m1", "engine": "fake", "starterPrompts": ["What is new?"],
            "tools": ["read_file", "list_workers"], "knowledgeBaseIds": ["kb_1"],
        })
    );
    // RFC 3339, in UTC.
    let made = agent["createdAt"].as_str().unwrap();
    assert!(
        made.parse::<jiff::Timestamp>().is_ok() && made.ends_with('Z'),
        "{made}"
    );
    assert_eq!(user.read(&path).await, agent);
    assert_eq!(user.read(AGENTS).await, json!([agent]));

    let worker = user.read(&format!("/api/workers/{id}")).await;
    assert_eq!(worker["memory"], "Be brief.");
    assert_eq!(worker["name"], "Researcher");
    let plain = user.worker("Plain", "fake").await;
    let seen = user.read(&format!("{AGENTS}/{plain}")).await;
    assert_eq!(
        shown(&seen),
        json!({
            "name": "Plain", "description": "", "systemPrompt": "", "model": null, "engine": "fake",
            "starterPrompts": [], "tools": [], "knowledgeBaseIds": [],
        })
    );
    // Newest first, page by page.
    assert_eq!(
        user.read_all(&format!("{AGENTS}?limit=1")).await,
        [seen, agent]
    );
}

#[tokio::test]
async fn a_change_touches_what_is_given_and_null_clears() {
    let (_server, user) = start().await;
    let body = json!({
        "name": "Ada", "description": "d", "systemPrompt": "s", "model": "m", "engine": "fake",
        "starterPrompts": ["a"], "tools": ["read_file"], "knowledgeBaseIds": ["k"],
    });
    let before = create(&user, &body).await;
    let path = format!("{AGENTS}/{}", id_of(&before));
    let change = async |body: Value| user.patch(&path, &body).await.expect(200).json();
    assert_eq!(shown(&change(json!({})).await), shown(&before));
    let after = change(json!({ "model": null, "description": "", "starterPrompts": [] })).await;
    assert_eq!(after["model"], Value::Null);
    assert_eq!(after["description"], "");
    assert_eq!(after["starterPrompts"], json!([]));
    assert_eq!(after["tools"], json!(["read_file"]));
    assert_eq!(after["systemPrompt"], "s");
    // A worker's own change leaves the agent's part alone, and the other way round.
    let worker = format!("/api/workers/{}", id_of(&before));
    user.put(&worker, &json!({ "daily_cost_max": 2 }))
        .await
        .expect(200);
    let after = change(json!({ "systemPrompt": "new" })).await;
    assert_eq!(after["knowledgeBaseIds"], json!(["k"]));
    let seen = user.read(&worker).await;
    assert_eq!(
        (&seen["memory"], &seen["daily_cost_max"]),
        (&json!("new"), &json!(2.0))
    );
    assert_eq!(user.read(&path).await, after);
}

#[tokio::test]
async fn bad_agents_are_refused_by_field() {
    let (_server, user) = start().await;
    create(&user, &json!({ "name": "Ada" })).await;
    for (body, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "bee" }), "name"),
        (
            json!({ "name": "B", "systemPrompt": "x".repeat(256 * 1024 + 1) }),
            "systemPrompt",
        ),
        (json!({ "name": "B", "engine": "nothing" }), "engine"),
        (json!({ "name": "B", "model": "-x" }), "model"),
        (json!({ "name": "B", "tools": ["no_such_tool"] }), "tools"),
        (
            json!({ "name": "B", "starterPrompts": [" "] }),
            "starterPrompts",
        ),
        (
            json!({ "name": "B", "starterPrompts": ["x".repeat(1001)] }),
            "starterPrompts",
        ),
        (
            json!({ "name": "B", "starterPrompts": vec!["x"; 21] }),
            "starterPrompts",
        ),
        (
            json!({ "name": "B", "knowledgeBaseIds": ["a b"] }),
            "knowledgeBaseIds",
        ),
        (
            json!({ "name": "B", "knowledgeBaseIds": vec!["x"; 101] }),
            "knowledgeBaseIds",
        ),
    ] {
        let refused = user.post(AGENTS, &body).await;
        assert_eq!(refused.invalid_fields(), [field], "{}", refused.text());
    }
    let most = json!({
        "name": "Most", "starterPrompts": vec!["x".repeat(1000); 20],
        "knowledgeBaseIds": vec!["x"; 100], "systemPrompt": "x".repeat(256 * 1024),
    });
    create(&user, &most).await;
    user.post(AGENTS, &json!({ "name": "ada" }))
        .await
        .refused(409, "conflict");
    user.post(AGENTS, &json!({}))
        .await
        .refused(400, "bad_request");
    user.post(AGENTS, &json!({ "name": "B", "tools": "all" }))
        .await
        .refused(400, "bad_request");
    let unknown = format!("{AGENTS}/019ac0de-0000-7000-8000-000000000001");
    user.get(&unknown).await.refused(404, "not_found");
    user.patch(&unknown, &json!({}))
        .await
        .refused(404, "not_found");
    user.delete(&unknown).await.refused(404, "not_found");
    user.get(&format!("{unknown}/tools"))
        .await
        .refused(404, "not_found");
    user.post(&format!("{unknown}/duplicate"), &json!({}))
        .await
        .refused(404, "not_found");
    user.get(&format!("{AGENTS}/x"))
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn a_copy_is_an_agent_of_its_own() {
    let (_server, user) = start().await;
    let body =
        json!({ "name": "Ada", "systemPrompt": "s", "engine": "fake", "tools": ["read_file"] });
    let ada = create(&user, &body).await;
    let path = format!("{AGENTS}/{}/duplicate", id_of(&ada));
    let first = user.post(&path, &json!({})).await.expect(201);
    let copy = first.json();
    assert_eq!(
        first.header("location"),
        Some(&*format!("{AGENTS}/{}", id_of(&copy)))
    );
    let second = user
        .call(Method::Post, &path)
        .send()
        .await
        .expect(201)
        .json();
    let named = user
        .post(&path, &json!({ "name": "Eve" }))
        .await
        .expect(201)
        .json();
    for (copy, name) in [
        (&copy, "Ada (copy)"),
        (&second, "Ada (copy 2)"),
        (&named, "Eve"),
    ] {
        let mut expected = shown(&ada);
        expected["name"] = name.into();
        assert_eq!(shown(copy), expected);
    }
    let dir = async |agent: &Value| {
        let path = format!("/api/workers/{}", id_of(agent));
        user.read(&path).await["work_dir"].clone()
    };
    assert_ne!(dir(&ada).await, dir(&copy).await);
    user.post(&path, &json!({ "name": "Ada" }))
        .await
        .refused(409, "conflict");
    // The longest name has a copy, too.
    let long = create(&user, &json!({ "name": "ü".repeat(100) })).await;
    let path = format!("{AGENTS}/{}/duplicate", id_of(&long));
    let copy = user.post(&path, &json!({})).await.expect(201).json();
    assert!(copy["name"].as_str().unwrap().ends_with("ü (copy)"));
}

/// Nobody asked for a name, so nobody is told that it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_that_are_made_at_once_find_names_of_their_own() {
    let (_server, user) = start().await;
    let ada = create(&user, &json!({ "name": "Ada" })).await;
    let path = format!("{AGENTS}/{}/duplicate", id_of(&ada));
    let copies: Vec<_> = (0..8)
        .map(|_| {
            let (user, path) = (user.clone(), path.clone());
            tokio::spawn(async move { user.post(&path, &json!({})).await.expect(201).json() })
        })
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for copy in copies {
        let copy = copy.await.unwrap();
        names.insert(copy["name"].as_str().unwrap().to_owned());
    }
    assert_eq!(names.len(), 8, "{names:?}");
}

#[tokio::test]
async fn a_deleted_agent_is_a_deleted_worker() {
    let (_server, user) = start().await;
    let ada = create(
        &user,
        &json!({ "name": "Ada", "engine": "fake", "tools": ["read_file"] }),
    )
    .await;
    let id = id_of(&ada);
    let chat = user.chat_with(&id).await;
    let running = user.send(&chat, "hang").await;
    user.running(&running).await;
    let path = format!("{AGENTS}/{id}");
    let deleted = user.delete(&path).await.expect(200).json();
    assert_eq!(deleted, json!({ "status": "deleted" }));
    assert_eq!(user.ended(&running).await.status(), "cancelled");
    user.get(&path).await.refused(404, "not_found");
    user.get(&format!("/api/workers/{id}"))
        .await
        .refused(404, "not_found");
    assert_eq!(user.read(AGENTS).await, json!([]));
}

#[tokio::test]
async fn the_tools_say_which_of_them_the_agent_may_use() {
    let (_server, user) = start().await;
    let all = create(&user, &json!({ "name": "All" })).await;
    let some = create(&user, &json!({ "name": "Some", "tools": ["read_file"] })).await;
    let tools = async |agent: &Value| {
        let path = format!("{AGENTS}/{}/tools", id_of(agent));
        user.read(&path).await.as_array().unwrap().clone()
    };
    let enabled = |tools: &[Value]| -> Vec<String> {
        let enabled = tools.iter().filter(|tool| tool["enabled"] == true);
        enabled
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_all = tools(&all).await;
    assert!(enabled(&of_all).len() > 5, "{of_all:?}");
    let read = of_all
        .iter()
        .find(|tool| tool["name"] == "read_file")
        .unwrap();
    assert_eq!(read["access"], "read");
    assert_eq!(read["inputSchema"]["type"], "object");
    assert!(read["description"].is_string());
    assert_eq!(enabled(&tools(&some).await), ["read_file"]);
}

/// Once, and within the tier, as workers are: they are workers.
#[tokio::test]
async fn an_agent_is_made_once_for_each_key_and_within_the_tier() {
    let text = format!(
        "{}\n[tier]\nname = \"pro\"\n[tier.limits]\nworkers = 2\n",
        settings()
    );
    let server = Setup::settings(&text).start().await;
    let user = server.log_in().await;
    let make = async |user: &User, key: &str, path: &str, body: Value| {
        let call = user.call(Method::Post, path).header("Idempotency-Key", key);
        call.json(&body).send().await
    };
    let ada = make(
        &user,
        "a",
        AGENTS,
        json!({ "name": "Ada", "tools": ["read_file"] }),
    )
    .await;
    let ada = ada.expect(201);
    let copies = format!("{AGENTS}/{}/duplicate", id_of(&ada.json()));
    let copy = make(&user, "a", &copies, json!({})).await.expect(201);
    let full = make(&user, "b", AGENTS, json!({ "name": "Third" })).await;
    let told = full.refused(402, "tier_limit");
    assert_eq!(told["details"]["limit"], 2);
    make(&user, "a", AGENTS, json!({ "name": "Other" }))
        .await
        .refused(422, "idempotency_key_reused");
    let stopped = server.kill().await;
    let server = stopped.start().await;
    let user = user.at(&server);
    let again = make(
        &user,
        "a",
        AGENTS,
        json!({ "name": "Ada", "tools": ["read_file"] }),
    )
    .await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(201).json(), ada.json());
    let again = make(&user, "a", &copies, json!({})).await.expect(201);
    assert_eq!(again.json(), copy.json());
    assert_eq!(user.read_all(AGENTS).await.len(), 2);
}

/// A key for chats may look at agents, and change none.
#[tokio::test]
async fn changes_need_the_scope_that_workers_need() {
    let (_server, user) = start().await;
    let ada = create(&user, &json!({ "name": "Ada" })).await;
    let key = json!({ "name": "chat", "scopes": ["chat"] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    let chat = user.with_token(key["token"].as_str().unwrap());
    chat.get(AGENTS).await.expect(200);
    let path = format!("{AGENTS}/{}", id_of(&ada));
    chat.post(AGENTS, &json!({ "name": "B" }))
        .await
        .refused(403, "forbidden");
    chat.patch(&path, &json!({}))
        .await
        .refused(403, "forbidden");
    chat.delete(&path).await.refused(403, "forbidden");
    chat.post(&format!("{path}/duplicate"), &json!({}))
        .await
        .refused(403, "forbidden");
}
