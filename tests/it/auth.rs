//! Who may come in, for how long, and what never gets out.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::http::{Call, Method, nothing};
use crate::support::server::PASSWORD;
use crate::support::token::{claims, now_s, signed, signed_with};
use crate::support::{Answer, Setup, TestServer, User};

async fn log_in(server: &TestServer, username: &str, password: &str) -> Answer {
    let body = json!({ "username": username, "password": password });
    server
        .call(Method::Post, "/api/auth/login")
        .json(&body)
        .send()
        .await
}

async fn redeem(server: &TestServer, code: &str) -> Answer {
    server
        .call(Method::Post, "/api/auth/redeem")
        .json(&json!({ "code": code }))
        .send()
        .await
}

async fn refresh(server: &TestServer, token: &str) -> Answer {
    let body = json!({ "refresh_token": token });
    server
        .call(Method::Post, "/api/auth/refresh")
        .json(&body)
        .send()
        .await
}

async fn me(server: &TestServer, token: &str) -> Answer {
    server
        .call(Method::Get, "/api/me")
        .bearer(token)
        .send()
        .await
}

#[tokio::test]
async fn login_answers_with_tokens_as_documented() {
    let server = TestServer::start().await;
    let answer = log_in(&server, "admin", PASSWORD).await.expect(200);
    let tokens = answer.json();
    assert_eq!(tokens["expires_in"], 3600);
    let user = User::new(&server, &tokens);
    let account = user.read("/api/me").await;
    assert_eq!(account["username"], "admin");
    assert_eq!(account["password_generated"], false);
}

#[tokio::test]
async fn the_printed_link_signs_in_once() {
    let server = Setup::default().without_password().start().await;
    redeem(&server, "guessed")
        .await
        .refused(401, "invalid_credentials");
    let tokens = redeem(&server, &server.code).await.expect(200).json();
    let user = User::new(&server, &tokens);
    assert_eq!(user.read("/api/me").await["password_generated"], true);
    redeem(&server, &server.code)
        .await
        .refused(401, "invalid_credentials");
}

/// The link is how one gets in who was told no password; it may set one without knowing the old one.
#[tokio::test]
async fn a_newcomer_sets_a_password_and_keeps_it() {
    let server = Setup::default().without_password().start().await;
    let user = server.log_in().await;
    let short = user
        .post("/api/me/password", &json!({ "new_password": "x" }))
        .await;
    assert_eq!(short.invalid_fields(), ["new_password"]);
    let changed = user
        .post("/api/me/password", &json!({ "new_password": PASSWORD }))
        .await;
    let user = User::new(&server, &changed.expect(200).json());
    assert_eq!(user.read("/api/me").await["password_generated"], false);
    let again = json!({ "new_password": "another good one" });
    user.post("/api/me/password", &again)
        .await
        .refused(400, "bad_request");

    let server = server.restart().await;
    log_in(&server, "admin", PASSWORD).await.expect(200);
    let second_link = server.log_in().await;
    second_link.get("/api/me").await.expect(200);
}

#[tokio::test]
async fn a_restart_prints_a_new_link_and_forgets_the_old_one() {
    let server = TestServer::start().await;
    let old = server.code.clone();
    let server = server.restart().await;
    assert_ne!(server.code, old);
    redeem(&server, &old)
        .await
        .refused(401, "invalid_credentials");
    redeem(&server, &server.code).await.expect(200);
}

/// The password of the environment is that of the first start; later ones do not change what the user has set.
#[tokio::test]
async fn the_password_of_the_environment_counts_at_the_first_start_only() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let change = json!({ "old_password": PASSWORD, "new_password": "something else entirely" });
    user.post("/api/me/password", &change).await.expect(200);
    let server = server.restart().await;
    log_in(&server, "admin", PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    log_in(&server, "admin", "something else entirely")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_answered_alike() {
    let server = TestServer::start().await;
    let wrong = log_in(&server, "admin", "wrong")
        .await
        .refused(401, "invalid_credentials");
    let unknown = log_in(&server, "nobody", "wrong")
        .await
        .refused(401, "invalid_credentials");
    assert_eq!(wrong["message"], unknown["message"]);
    assert_eq!(wrong["details"], unknown["details"]);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_success_starts_anew() {
    let server = TestServer::start().await;
    for _ in 0..4 {
        log_in(&server, "admin", "wrong")
            .await
            .refused(401, "invalid_credentials");
    }
    log_in(&server, "admin", PASSWORD).await.expect(200);
    for _ in 0..5 {
        log_in(&server, "admin", "wrong")
            .await
            .refused(401, "invalid_credentials");
    }
    let answer = log_in(&server, "admin", PASSWORD).await;
    answer.refused(429, "rate_limited");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // Whoever is in stays in: a stranger's guesses lock nobody out.
    let user = server.log_in().await;
    refresh(&server, &user.refresh).await.expect(200);
}

#[tokio::test]
async fn a_refresh_token_gives_access_tokens_and_stays_good() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    for _ in 0..3 {
        let answer = refresh(&server, &user.refresh).await.expect(200).json();
        assert_eq!(answer["expires_in"], 3600);
        assert!(answer.get("refresh_token").is_none(), "{answer}");
        me(&server, answer["access_token"].as_str().unwrap())
            .await
            .expect(200);
    }
    let server = server.restart().await;
    refresh(&server, &user.refresh).await.expect(200);
    me(&server, &user.access).await.expect(200);
}

#[tokio::test]
async fn each_kind_of_token_is_good_for_its_own_purpose_only() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    refresh(&server, &user.access)
        .await
        .refused(401, "invalid_token");
    me(&server, &user.refresh)
        .await
        .refused(401, "invalid_token");
    let logout = server.call(Method::Post, "/api/auth/logout");
    logout
        .json(&json!({ "refresh_token": user.access }))
        .send()
        .await
        .refused(401, "invalid_token");
    me(&server, &user.access).await.expect(200);
}

#[tokio::test]
async fn logging_out_is_for_good() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let body = json!({ "refresh_token": user.refresh });
    let logout = server.call(Method::Post, "/api/auth/logout").json(&body);
    logout.clone().send().await.expect(200);
    refresh(&server, &user.refresh)
        .await
        .refused(401, "invalid_token");
    me(&server, &user.access)
        .await
        .refused(401, "invalid_token");
    logout.send().await.refused(401, "invalid_token");
    let stopped = server.kill().await;
    let server = stopped.start().await;
    refresh(&server, &user.refresh)
        .await
        .refused(401, "invalid_token");
}

#[tokio::test]
async fn a_changed_password_ends_every_other_sign_in() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let other = User::new(
        &server,
        &log_in(&server, "admin", PASSWORD).await.expect(200).json(),
    );
    let wrong = json!({ "old_password": "wrong", "new_password": "a new good password" });
    user.post("/api/me/password", &wrong)
        .await
        .refused(401, "invalid_credentials");
    let change = json!({ "old_password": PASSWORD, "new_password": "a new good password" });
    let fresh = user
        .post("/api/me/password", &change)
        .await
        .expect(200)
        .json();
    for old in [&user, &other] {
        refresh(&server, &old.refresh)
            .await
            .refused(401, "invalid_token");
        me(&server, &old.access).await.refused(401, "invalid_token");
    }
    me(&server, fresh["access_token"].as_str().unwrap())
        .await
        .expect(200);
    log_in(&server, "admin", PASSWORD)
        .await
        .refused(401, "invalid_credentials");
    log_in(&server, "admin", "a new good password")
        .await
        .expect(200);
}

#[tokio::test]
async fn forged_and_worn_out_tokens_are_refused() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let genuine = claims(&user.access);
    let with = |field: &str, value: Value| {
        let mut changed = genuine.clone();
        changed[field] = value;
        changed
    };
    me(&server, &signed(&server, &genuine)).await.expect(200);
    let expired = signed(&server, &with("exp", (now_s() - 1).into()));
    me(&server, &expired).await.refused(401, "expired_token");

    let (head, body) = user
        .access
        .rsplit_once('.')
        .unwrap()
        .0
        .split_once('.')
        .unwrap();
    let none = "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0";
    let signature = user.access.rsplit_once('.').unwrap().1;
    let key = std::fs::read(server.data.join("keys/signing.key")).unwrap();
    let other_key = vec![7; 32];
    for forged in [
        format!("{none}.{body}."),
        format!("{none}.{body}.{signature}"),
        format!("{head}.{body}."),
        format!("{head}.{body}"),
        signed_with(&other_key, jsonwebtoken::Algorithm::HS256, &genuine),
        signed_with(&key, jsonwebtoken::Algorithm::HS512, &genuine),
        signed(&server, &with("iss", "another hive".into())),
        signed(
            &server,
            &with("family", uuid::Uuid::now_v7().to_string().into()),
        ),
        signed(&server, &with("kind", "media".into())),
        signed(&server, &with("kind", "execution".into())),
        signed(&server, &with("kind", "root".into())),
        "x".repeat(10_000),
        "...".to_owned(),
    ] {
        me(&server, &forged).await.refused(401, "invalid_token");
    }
    let expired = signed(&server, &{
        let mut changed = claims(&user.refresh);
        changed["exp"] = (now_s() - 1).into();
        changed
    });
    refresh(&server, &expired)
        .await
        .refused(401, "expired_token");
}

#[tokio::test]
async fn every_route_but_the_public_ones_asks_for_a_token() {
    let server = TestServer::start().await;
    let id = uuid::Uuid::now_v7();
    for (method, path) in [
        (Method::Get, "/api/me".to_owned()),
        (Method::Post, "/api/me/password".to_owned()),
        (Method::Get, "/api/workers".to_owned()),
        (Method::Post, "/api/workers".to_owned()),
        (Method::Get, format!("/api/workers/{id}")),
        (Method::Put, format!("/api/workers/{id}")),
        (Method::Delete, format!("/api/workers/{id}")),
        (Method::Get, format!("/api/workers/{id}/executions")),
        (Method::Get, "/api/bee".to_owned()),
        (Method::Put, "/api/bee".to_owned()),
        (Method::Get, "/api/executions".to_owned()),
        (Method::Get, format!("/api/executions/{id}")),
        (Method::Get, format!("/api/executions/{id}/logs")),
        (Method::Get, format!("/api/executions/{id}/stream")),
        (Method::Post, format!("/api/executions/{id}/cancel")),
        (Method::Post, format!("/api/executions/{id}/retry")),
        (Method::Get, format!("/api/sessions/{id}/executions")),
        (Method::Get, "/api/local/sessions".to_owned()),
        (Method::Post, "/api/local/sessions".to_owned()),
        (Method::Get, format!("/api/local/sessions/{id}")),
        (Method::Patch, format!("/api/local/sessions/{id}")),
        (Method::Delete, format!("/api/local/sessions/{id}")),
        (Method::Post, format!("/api/local/sessions/{id}/clear")),
        (Method::Get, format!("/api/local/sessions/{id}/messages")),
        (Method::Post, format!("/api/local/sessions/{id}/messages")),
        (Method::Post, format!("/api/local/sessions/{id}/media")),
        (Method::Get, format!("/api/local/sessions/{id}/media/a.png")),
        (Method::Get, format!("/api/local/sessions/{id}/stream")),
        (Method::Get, "/api/stream".to_owned()),
        (Method::Get, "/api/tokens".to_owned()),
        (Method::Post, "/api/tokens".to_owned()),
        (Method::Get, "/api/engines".to_owned()),
        (Method::Get, "/api/version".to_owned()),
        (Method::Post, "/api/resume".to_owned()),
        (Method::Post, "/api/purge".to_owned()),
    ] {
        server
            .call(method, &path)
            .json(&nothing())
            .send()
            .await
            .refused(401, "missing_token");
    }
    for path in ["/healthz", "/readyz"] {
        server.call(Method::Get, path).send().await.expect(200);
    }
}

#[tokio::test]
async fn the_query_may_carry_the_token_and_the_header_wins() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let path = format!("/api/me?token={}", user.access);
    server.call(Method::Get, &path).send().await.expect(200);
    let call = server.call(Method::Get, &path);
    call.bearer("nonsense")
        .send()
        .await
        .refused(401, "invalid_token");
    let call = server.call(Method::Get, "/api/me?token=nonsense");
    call.bearer(&user.access).send().await.expect(200);
    let basic = server
        .call(Method::Get, &path)
        .header("Authorization", "Basic YTpi");
    basic.send().await.refused(401, "invalid_token");
}

/// Not the token of a query, not a password, not a code: whoever reads the log gets in nowhere.
#[tokio::test]
async fn secrets_never_reach_the_log() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let code = server.code.clone();
    let path = format!("/api/local/sessions?token={}&cursor=nonsense", user.access);
    server
        .call(Method::Get, &path)
        .send()
        .await
        .refused(400, "bad_request");
    let path = format!("/api/nowhere?token={}", user.access);
    server
        .call(Method::Get, &path)
        .send()
        .await
        .refused(404, "not_found");
    let unknown = server.call(Method::Get, "/api/me?token=guessed-secret");
    unknown.send().await.refused(401, "invalid_token");
    log_in(&server, "admin", "a wrong secret")
        .await
        .refused(401, "invalid_credentials");
    log_in(&server, "admin", PASSWORD).await.expect(200);
    let chat = user.chat().await;
    user.ask(&chat, "a secret between us").await;
    let stopped = server.stop().await;
    assert!(
        stopped.stderr.contains("/api/local/sessions"),
        "the log holds the requests"
    );
    let signature = user.access.rsplit('.').next().unwrap();
    for secret in [
        signature,
        &code,
        PASSWORD,
        "a wrong secret",
        "guessed-secret",
        "a secret between us",
    ] {
        assert!(
            !stopped.stderr.contains(secret),
            "{secret} in {}",
            stopped.stderr
        );
    }
}

/// The console's cookies do what a header cannot, and only for our own page.
#[tokio::test]
async fn the_refresh_cookie_counts_only_from_our_own_page() {
    let server = TestServer::start().await;
    let answer = log_in(&server, "admin", PASSWORD).await.expect(200);
    let (name, value, attributes) = answer.cookie("skep_refresh_").unwrap();
    for attribute in [
        "HttpOnly",
        "SameSite=Strict",
        "Path=/api/auth",
        "Max-Age=604800",
    ] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    let cookie = format!("{name}={value}");
    let call = || {
        server
            .call(Method::Post, "/api/auth/refresh")
            .header("Cookie", &cookie)
    };
    call().send().await.refused(401, "missing_token");
    call()
        .header("Origin", "https://evil.example")
        .send()
        .await
        .refused(403, "origin_not_allowed");
    let own = format!("http://{}", server.address);
    let fresh = call().header("Origin", &own).send().await.expect(200);
    assert!(
        fresh.cookie("skep_refresh_").is_some(),
        "the cookie is renewed"
    );
    me(&server, fresh.json()["access_token"].as_str().unwrap())
        .await
        .expect(200);
    // It opens nothing else.
    server
        .call(Method::Get, "/api/me")
        .header("Cookie", &cookie)
        .send()
        .await
        .refused(401, "missing_token");

    let out = server
        .call(Method::Post, "/api/auth/logout")
        .header("Cookie", &cookie);
    let out = out.header("Origin", &own).send().await.expect(200);
    assert!(out.cookie("skep_refresh_").unwrap().2.contains("Max-Age=0"));
    call()
        .header("Origin", &own)
        .send()
        .await
        .refused(401, "invalid_token");
}

#[tokio::test]
async fn the_media_cookie_reads_files_for_our_own_page_and_nothing_else() {
    let server = TestServer::start().await;
    let answer = log_in(&server, "admin", PASSWORD).await.expect(200);
    let user = User::new(&server, &answer.json());
    let chat = user.chat().await;
    let url = user
        .upload(&chat, "a.png", b"not really")
        .await
        .expect(200)
        .json()["url"]
        .clone();
    let url = url.as_str().unwrap();
    let (name, value, attributes) = answer.cookie("skep_media_").unwrap();
    assert!(
        attributes.contains("HttpOnly") && attributes.contains("SameSite=Strict"),
        "{attributes}"
    );
    let cookie = format!("{name}={value}");
    let call = |method, path: &str, site: Option<&str>| {
        let call = server.call(method, path).header("Cookie", &cookie);
        let call = match site {
            Some(site) => call.header("Sec-Fetch-Site", site),
            None => call,
        };
        call.send()
    };
    call(Method::Get, url, Some("same-origin"))
        .await
        .expect(200);
    call(Method::Head, url, Some("none")).await.expect(200);
    for site in [None, Some("cross-site"), Some("same-site")] {
        call(Method::Get, url, site)
            .await
            .refused(401, "missing_token");
    }
    call(Method::Get, "/api/me", Some("same-origin"))
        .await
        .refused(401, "missing_token");
    let delete = format!("/api/local/sessions/{chat}");
    call(Method::Delete, &delete, Some("same-origin"))
        .await
        .refused(401, "missing_token");
    // As a token it is none.
    me(&server, &value).await.refused(401, "invalid_token");
}

#[tokio::test]
async fn api_keys_are_shown_once_and_do_what_their_scope_says() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let key = |scope: &str| json!({ "name": scope, "scopes": [scope] });
    let made = user.post("/api/tokens", &key("read")).await.expect(201);
    let location = made.header("location").unwrap().to_owned();
    let read = made.json()["token"].as_str().unwrap().to_owned();
    let chat = user
        .post("/api/tokens", &key("chat"))
        .await
        .expect(201)
        .json();
    let chat = chat["token"].as_str().unwrap();
    let list = user.read("/api/tokens").await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert!(
        list.as_array()
            .unwrap()
            .iter()
            .all(|key| key["token"].is_null()),
        "{list}"
    );

    let with = |token: &str, method, path: &str| server.call(method, path).bearer(token);
    let session = json!({ "name": "x" });
    with(&read, Method::Get, "/api/workers")
        .send()
        .await
        .expect(200);
    with(&read, Method::Post, "/api/local/sessions")
        .json(&session)
        .send()
        .await
        .refused(403, "forbidden");
    with(chat, Method::Post, "/api/local/sessions")
        .json(&session)
        .send()
        .await
        .expect(201);
    with(chat, Method::Post, "/api/workers")
        .json(&session)
        .send()
        .await
        .refused(403, "forbidden");
    with(chat, Method::Get, "/api/tokens")
        .send()
        .await
        .refused(403, "forbidden");
    let empty = user
        .post("/api/tokens", &json!({ "name": "x", "scopes": [] }))
        .await;
    assert_eq!(empty.invalid_fields(), ["scopes"]);
    let unknown = json!({ "name": "x", "scopes": ["root"] });
    user.post("/api/tokens", &unknown)
        .await
        .refused(400, "bad_request");

    let server = server.restart().await;
    let user = user.at(&server);
    server
        .call(Method::Get, "/api/workers")
        .bearer(&read)
        .send()
        .await
        .expect(200);
    assert_eq!(
        user.delete(&location).await.expect(200).json(),
        json!({ "status": "deleted" })
    );
    server
        .call(Method::Get, "/api/workers")
        .bearer(&read)
        .send()
        .await
        .refused(401, "invalid_token");
    user.delete(&location).await.refused(404, "not_found");
    let stderr = server.stop().await.stderr;
    assert!(!stderr.contains(&read), "{stderr}");
}

#[tokio::test]
async fn malformed_sign_ins_are_refused_and_break_nothing() {
    let server = TestServer::start().await;
    let call = |body: &str| {
        let call = Call::new(server.address, Method::Post, "/api/auth/login");
        call.body("application/json", body).send()
    };
    call("{").await.refused(400, "invalid_json");
    call("").await.refused(400, "invalid_json");
    for wrong in [
        "[]",
        "{}",
        r#"{"username":1,"password":2}"#,
        r#"{"username":"admin"}"#,
        "null",
    ] {
        call(wrong).await.refused(400, "bad_request");
    }
    let form = server.call(Method::Post, "/api/auth/login");
    let form = form.body(
        "application/x-www-form-urlencoded",
        "username=admin&password=x",
    );
    form.send().await.refused(415, "unsupported_media_type");
    let long =
        json!({ "username": "x".repeat(100_000), "password": "y".repeat(100_000) }).to_string();
    call(&long).await.refused(401, "invalid_credentials");
    log_in(&server, "admin", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn keys_and_directory_are_private() {
    let server = TestServer::start().await;
    let mode = |path: &str| {
        let metadata = std::fs::metadata(server.data.join(path)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("keys/signing.key"), 0o600);
    assert_eq!(mode("control.json"), 0o600);
    let data = server.data.clone();
    server.stop().await;
    assert!(
        !data.join("control.json").exists(),
        "nobody is there to be spoken to"
    );
}
