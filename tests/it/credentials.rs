//! How sign-ins and API keys end: at once, also for what is still being answered.

use serde_json::json;

use crate::support::engine::settings;
use crate::support::server::PASSWORD;
use crate::support::token::{claims, now_s, signed};
use crate::support::{Answer, Method, PATIENCE, TestServer, User};

async fn log_in(server: &TestServer) -> Answer {
    let body = json!({ "username": "admin", "password": PASSWORD });
    let call = server.call(Method::Post, "/api/auth/login");
    call.json(&body).send().await.expect(200)
}

/// The console's cookie as `name=value`.
fn cookie(answer: &Answer) -> String {
    let (name, value, _) = answer.cookie("skep_refresh_").expect("a cookie");
    format!("{name}={value}")
}

async fn exchange(server: &TestServer, cookie: &str) -> Answer {
    let call = server.call(Method::Post, "/api/auth/refresh");
    let own = format!("http://{}", server.address);
    call.header("Cookie", cookie)
        .header("Origin", &own)
        .send()
        .await
}

async fn api_key(user: &User, body: serde_json::Value) -> (String, String) {
    let made = user.post("/api/tokens", &body).await.expect(201);
    let token = made.json()["token"].as_str().unwrap().to_owned();
    (token, made.header("location").unwrap().to_owned())
}

#[tokio::test]
async fn each_use_of_the_console_cookie_gives_another_one() {
    let server = TestServer::start().await;
    let first = cookie(&log_in(&server).await);
    let second = cookie(&exchange(&server, &first).await.expect(200));
    let third = cookie(&exchange(&server, &second).await.expect(200));
    assert!(first != second && second != third);
    let server = server.kill().await.start().await;
    exchange(&server, &third).await.expect(200);
}

/// Two tabs ask at once, or an answer is lost on the way: nobody is signed out for that.
#[tokio::test]
async fn a_cookie_whose_answer_was_lost_is_taken_again() {
    let server = TestServer::start().await;
    let first = cookie(&log_in(&server).await);
    let lost = exchange(&server, &first).await.expect(200);
    let server = server.kill().await.start().await;
    let again = exchange(&server, &first).await.expect(200);
    for answer in [lost, again] {
        exchange(&server, &cookie(&answer)).await.expect(200);
    }
}

/// A stolen cookie is good until its owner or its thief uses the one that came of it; then neither gets in with it.
#[tokio::test]
async fn a_cookie_that_was_exchanged_long_ago_ends_its_sign_in() {
    let server = TestServer::start().await;
    let answer = log_in(&server).await;
    let user = User::new(&server, &answer.json());
    let stranger = User::new(&server, &log_in(&server).await.json());
    let stolen = cookie(&answer);
    let second = cookie(&exchange(&server, &stolen).await.expect(200));
    let third = cookie(&exchange(&server, &second).await.expect(200));
    exchange(&server, &stolen)
        .await
        .refused(401, "invalid_token");
    exchange(&server, &third)
        .await
        .refused(401, "invalid_token");
    user.get("/api/me").await.refused(401, "invalid_token");
    let body = json!({ "refresh_token": user.refresh });
    let refresh = server.call(Method::Post, "/api/auth/refresh").json(&body);
    refresh.send().await.refused(401, "invalid_token");
    // Other sign-ins go on.
    stranger.get("/api/me").await.expect(200);
    let server = server.kill().await.start().await;
    exchange(&server, &third)
        .await
        .refused(401, "invalid_token");
}

/// The cookie's token is none for the body, and the body's none for the cookie.
#[tokio::test]
async fn the_cookie_and_the_body_take_their_own_tokens() {
    let server = TestServer::start().await;
    let answer = log_in(&server).await;
    let user = User::new(&server, &answer.json());
    let cookie = cookie(&answer);
    let (name, value) = cookie.split_once('=').unwrap();
    let body = json!({ "refresh_token": value });
    let call = server.call(Method::Post, "/api/auth/refresh").json(&body);
    call.send().await.refused(401, "invalid_token");
    exchange(&server, &format!("{name}={}", user.refresh))
        .await
        .refused(401, "invalid_token");
    server
        .call(Method::Get, "/api/me")
        .bearer(value)
        .send()
        .await
        .refused(401, "invalid_token");
    // The body's stays valid however often it is used.
    for _ in 0..3 {
        let body = json!({ "refresh_token": user.refresh });
        let call = server.call(Method::Post, "/api/auth/refresh").json(&body);
        call.send().await.expect(200);
    }
}

#[tokio::test]
async fn a_deleted_key_ends_what_it_still_reads() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    let execution = user.send(&chat, "wait for me").await;
    user.printed(&execution, "waiting for me").await;
    let (token, location) = api_key(&user, json!({ "name": "x", "scopes": ["read"] })).await;
    let (other, _) = api_key(&user, json!({ "name": "y", "scopes": ["read"] })).await;
    let script = user.with(token);
    let bystander = user.with(other);
    let mut streams = Vec::new();
    for path in [
        "/api/stream".to_owned(),
        format!("/api/local/sessions/{chat}/stream"),
        format!("/api/executions/{execution}/stream"),
    ] {
        streams.push(script.events(&path, None).await);
    }
    let mut going_on = bystander.events("/api/stream", None).await;
    let log = format!("/api/executions/{execution}/logs?follow=true");
    let (_, mut log) = script.call(Method::Get, &log).open().await;
    user.delete(&location).await.expect(200);
    for stream in &mut streams {
        stream.find(|event| event.is("expired")).await;
    }
    // The log breaks off: what came is not taken for all there is.
    let ended = tokio::time::timeout(PATIENCE, async {
        loop {
            match log.next().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        }
    });
    assert!(ended.await.expect("it ends").is_err());
    script.get("/api/me").await.refused(401, "invalid_token");
    user.post(&format!("/api/executions/{execution}/cancel"), &json!({}))
        .await
        .expect(202);
    going_on
        .find(|event| event.is_status(&execution, "cancelled"))
        .await;
}

/// Signing out and a changed password end what their sign-ins still read, and nothing else.
#[tokio::test]
async fn an_ended_sign_in_reads_no_further() {
    let server = TestServer::start().await;
    let leaving = server.log_in().await;
    let staying = User::new(&server, &log_in(&server).await.json());
    let mut of_leaving = leaving.events("/api/stream", None).await;
    let mut of_staying = staying.events("/api/stream", None).await;
    let logout = server.call(Method::Post, "/api/auth/logout");
    let body = json!({ "refresh_token": leaving.refresh });
    logout.json(&body).send().await.expect(200);
    of_leaving.find(|event| event.is("expired")).await;
    staying.chat().await;
    of_staying.find(|event| event.is("session")).await;
    let (key, _) = api_key(&staying, json!({ "name": "x", "scopes": ["read"] })).await;
    let change = json!({ "old_password": PASSWORD, "new_password": "a new good password" });
    staying.post("/api/me/password", &change).await.expect(200);
    of_staying.find(|event| event.is("expired")).await;
    // A key is no sign-in.
    let call = server.call(Method::Get, "/api/me").bearer(&key);
    call.send().await.expect(200);
}

#[tokio::test]
async fn a_key_ends_when_it_was_said_to() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let past = json!({ "name": "x", "scopes": ["read"], "expires_at": now_s() * 1000 - 1 });
    assert_eq!(
        user.post("/api/tokens", &past).await.invalid_fields(),
        ["expires_at"]
    );
    let soon = json!({ "name": "x", "scopes": ["read"], "expires_at": (now_s() + 3) * 1000 });
    let (token, _) = api_key(&user, soon).await;
    let script = user.with(token);
    let mut events = script.events("/api/stream", None).await;
    events.find(|event| event.is("expired")).await;
    script.get("/api/me").await.refused(401, "expired_token");
}

/// It costs a change a minute at most, however many ask at once, and the list says when a key was last used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_of_a_key_is_noted_once_a_minute() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let (token, _) = api_key(&user, json!({ "name": "x", "scopes": ["read"] })).await;
    assert!(user.read("/api/tokens").await[0]["last_used_at"].is_null());
    let script = user.with(token);
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let script = script.clone();
            tokio::spawn(async move { script.get("/api/me").await.status })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 200);
    }
    let noted = tokio::time::timeout(PATIENCE, async {
        loop {
            let noted = user.read("/api/tokens").await[0]["last_used_at"].clone();
            if !noted.is_null() {
                break noted;
            }
        }
    });
    let noted = noted.await.expect("the use is noted");
    script.get("/api/me").await.expect(200);
    let server = server.restart().await;
    let tokens = user.at(&server).read("/api/tokens").await;
    assert_eq!(tokens[0]["last_used_at"], noted);
}

/// `read` is every GET but the backup, `chat` also what a chat needs, `admin` all.
#[tokio::test]
async fn a_scope_is_what_the_contract_says() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let with = async |scope: &str| {
        let (access, _) = api_key(&user, json!({ "name": scope, "scopes": [scope] })).await;
        user.with(access)
    };
    let (read, talk, admin) = (with("read").await, with("chat").await, with("admin").await);
    let session = format!("/api/local/sessions/{chat}");
    let messages = format!("{session}/messages");
    let said = json!({ "content": "help" });
    for key in [&read, &talk, &admin] {
        for path in [
            "/api/me",
            "/api/workers",
            "/api/executions",
            &session,
            &messages,
        ] {
            key.get(path).await.expect(200);
        }
    }
    for (key, is_chat, is_admin) in [(&read, 403, 403), (&talk, 202, 403), (&admin, 202, 201)] {
        let posted = key.post(&messages, &said).await;
        assert_eq!(posted.status, is_chat);
        if is_chat == 202 {
            let execution = posted.json()["execution_id"].as_str().unwrap().to_owned();
            key.ended(&execution).await;
            key.upload(&chat, "a.txt", b"a").await.expect(200);
            let cancel = format!("/api/executions/{execution}/cancel");
            key.post(&cancel, &json!({})).await.refused(409, "conflict");
        } else {
            key.upload(&chat, "a.txt", b"a")
                .await
                .refused(403, "forbidden");
        }
        let worker = json!({ "name": format!("for {is_chat} {is_admin}") });
        assert_eq!(key.post("/api/workers", &worker).await.status, is_admin);
        let backup = key.get("/api/backup").await;
        assert_eq!(backup.status, if is_admin == 201 { 200 } else { 403 });
        if is_admin == 403 {
            let missing = key
                .put("/api/bee", &json!({}))
                .await
                .refused(403, "forbidden");
            assert_eq!(missing["details"], json!({ "scope": "admin" }));
        }
    }
}

/// A token of a sign-in that never was, or of another kind, opens no stream either.
#[tokio::test]
async fn a_forged_family_opens_nothing() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let mut forged = claims(&user.access);
    forged["family"] = uuid::Uuid::now_v7().to_string().into();
    let forged = user.with(signed(&server, &forged));
    forged
        .get("/api/stream")
        .await
        .refused(401, "invalid_token");
}
