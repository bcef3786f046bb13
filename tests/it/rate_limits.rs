//! How often one may ask, by whom that is counted, and what an answer says of it.

use serde_json::{Value, json};

use crate::support::{Answer, Method, Setup, User};

fn limited(settings: &str) -> Setup {
    Setup::settings(settings).env("RATE_LIMIT_ENABLED", "true")
}

async fn me(user: &User) -> Answer {
    user.get("/api/me").await
}

/// `r` and `t` of the `RateLimit` header.
fn told(answer: &Answer, family: &str) -> (u64, u64) {
    let line = answer.header("ratelimit").expect("RateLimit");
    let rest = line.strip_prefix(&format!("\"{family}\";r=")).expect(line);
    let (remaining, full_in) = rest.split_once(";t=").expect(line);
    (remaining.parse().unwrap(), full_in.parse().unwrap())
}

#[tokio::test]
async fn every_family_has_its_documented_default() {
    let server = limited("").start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let messages = format!("/api/local/sessions/{chat}/messages");
    let nothing = json!({});
    for (answer, family, rate, burst) in [
        (user.post(&messages, &nothing).await, "chat", 60, 120),
        (user.get("/api/workers").await, "agents", 120, 200),
        (user.get("/api/agents").await, "agents", 120, 200),
        (user.post("/api/chat", &nothing).await, "chat", 60, 120),
        (user.post("/api/auth/login", &nothing).await, "auth", 30, 60),
        (me(&user).await, "default", 1200, 2400),
    ] {
        let policy = format!("\"{family}\";q={rate};w=60;skep-burst={burst}");
        assert_eq!(answer.header("ratelimit-policy"), Some(&*policy));
        let (remaining, full_in) = told(&answer, family);
        assert!((burst - 20..burst).contains(&remaining), "{remaining}");
        assert!((1..=60).contains(&full_in), "{full_in}");
    }
    for path in ["/healthz", "/readyz", "/", "/app.css"] {
        let answer = server.call(Method::Get, path).send().await;
        assert_eq!(answer.header("ratelimit-policy"), None, "{path}");
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let server = limited("[rate_limit]\nagents = \"6/3\"").start().await;
    let user = server.log_in().await;
    for left in [2, 1, 0] {
        let answer = user.get("/api/workers").await.expect(200);
        assert_eq!(told(&answer, "agents").0, left);
    }
    let refused = user.get("/api/workers").await;
    let body = refused.refused(429, "rate_limited");
    assert_eq!(
        body["details"],
        json!({ "family": "agents", "limit": 6, "windowSeconds": 60 })
    );
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    assert_eq!(told(&refused, "agents").0, 0);
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"agents\";q=6;w=60;skep-burst=3")
    );
    // Another family has a bucket of its own, and nothing was done for the refused one.
    me(&user).await.expect(200);
    let worker = user.post("/api/workers", &json!({ "name": "Ada" })).await;
    worker.refused(429, "rate_limited");
    let server = server.restart().await;
    assert_eq!(user.at(&server).read("/api/workers").await, json!([]));
}

/// The environment and the file, one family and all of them.
#[tokio::test]
async fn limits_are_set_and_switched_off() {
    let setup = limited("[rate_limit]\nagents = \"off\"\nchat = \"6/1\"");
    let server = setup.env("RATE_LIMIT_CHAT", "60/2").start().await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let answer = user.get("/api/workers").await.expect(200);
    assert_eq!(answer.header("ratelimit-policy"), None);
    let messages = format!("/api/local/sessions/{chat}/messages");
    let answer = user.post(&messages, &json!({})).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some("\"chat\";q=60;w=60;skep-burst=2")
    );

    let setup = Setup::settings("[rate_limit]\ndefault = \"1/1\"");
    let server = setup.start().await;
    let user = server.log_in().await;
    for _ in 0..5 {
        let answer = me(&user).await.expect(200);
        assert_eq!(answer.header("ratelimit"), None);
    }
}

/// What has no token of ours is counted by its address before anything is looked up.
#[tokio::test]
async fn guessing_tokens_is_limited_by_address() {
    let server = limited("[rate_limit]\ndefault = \"6/3\"").start().await;
    let guess = || {
        let call = server.call(Method::Get, "/api/me");
        call.bearer("guess").send()
    };
    for _ in 0..3 {
        guess().await.refused(401, "invalid_token");
    }
    guess().await.refused(429, "rate_limited");
}

fn from(user: &User, header: &str, value: &str) -> crate::support::http::Call {
    user.call(Method::Get, "/api/bee").header(header, value)
}

/// A page behind a proxy is not limited by what its neighbours do; one that lies about where it comes from is nobody else.
#[tokio::test]
async fn addresses_are_taken_from_trusted_proxies_only() {
    let settings = "trusted_proxies = [\"127.0.0.0/8\"]\n[rate_limit]\nauth = \"6/2\"";
    let server = limited(settings).start().await;
    let log_in = |header: &str, value: &str| {
        let call = server.call(Method::Post, "/api/auth/login");
        let call = call.json(&json!({})).header(header, value);
        async { call.send().await.status }
    };
    for (header, value) in [
        ("X-Forwarded-For", "192.0.2.1"),
        ("Forwarded", "for=192.0.2.1;proto=https"),
    ] {
        assert_eq!(log_in(header, value).await, 400);
    }
    // The last hop counts: what a client puts in front of it changes nothing.
    let forged = "198.51.100.7, 192.0.2.1";
    assert_eq!(log_in("X-Forwarded-For", forged).await, 429);
    assert_eq!(log_in("X-Forwarded-For", "192.0.2.2").await, 400);
    // An IPv6 customer is one however many addresses there are.
    for host in 1..=2 {
        let address = format!("for=\"[2001:db8:1:2::{host}]:4711\"");
        assert_eq!(log_in("Forwarded", &address).await, 400);
    }
    let address = "for=\"[2001:db8:1:2:3::9]\"";
    assert_eq!(log_in("Forwarded", address).await, 429);

    let settings = "[rate_limit]\nauth = \"6/2\"";
    let server = limited(settings).start().await;
    let mut seen = Vec::new();
    for n in 0..3 {
        let call = server.call(Method::Post, "/api/auth/login");
        let call = call
            .json(&json!({}))
            .header("X-Forwarded-For", &format!("192.0.2.{n}"));
        seen.push(call.send().await.status);
    }
    assert_eq!(
        seen,
        [400, 400, 429],
        "nobody is trusted, so nobody is believed"
    );
}

/// Wherever a user asks from, by sign-in or by key, it is the same user; another address is no way around that.
#[tokio::test]
async fn a_user_is_limited_wherever_they_ask_from() {
    let settings = "trusted_proxies = [\"127.0.0.1\"]\n[rate_limit]\ndefault = \"6/6\"";
    let server = limited(settings).start().await;
    let user = server.log_in().await;
    let key = json!({ "name": "script", "scopes": ["read"] });
    let made = user.post("/api/tokens", &key).await.expect(201).json();
    let by_key = |n: u32| {
        let call = server.call(Method::Get, "/api/bee");
        let call = call.bearer(made["token"].as_str().unwrap());
        call.header("X-Forwarded-For", &format!("192.0.2.{n}"))
            .send()
    };
    let mut last = 9;
    for n in 0..5 {
        let answer = match n % 2 {
            0 => by_key(n).await,
            _ => {
                from(&user, "X-Forwarded-For", &format!("192.0.2.{n}"))
                    .send()
                    .await
            }
        };
        let (remaining, _) = told(&answer.expect(200), "default");
        assert!(remaining < last, "{remaining}");
        last = remaining;
    }
    assert_eq!(last, 0);
    by_key(100).await.refused(429, "rate_limited");
    // Whoever holds the directory is not the user: `skep passwd` still works.
    let control = std::fs::read(server.data.join("control.json")).unwrap();
    let control: Value = serde_json::from_slice(&control).unwrap();
    let call = server
        .call(Method::Get, "/api/me")
        .header("X-Forwarded-For", "192.0.2.200");
    let call = call.bearer(control["key"].as_str().unwrap());
    call.send().await.expect(200);
}

/// A looping script on another machine does not take the console's own room, nor guesses the owner's.
#[tokio::test]
async fn one_address_does_not_exhaust_another() {
    let settings = "trusted_proxies = [\"127.0.0.1\"]\n[rate_limit]\ndefault = \"6/2\"";
    let server = limited(settings).start().await;
    let user = server.log_in().await;
    let anybody = |address: &str| {
        let call = server.call(Method::Get, "/api/me").bearer("guess");
        call.header("X-Forwarded-For", address).send()
    };
    for _ in 0..2 {
        anybody("192.0.2.1").await.refused(401, "invalid_token");
    }
    anybody("192.0.2.1").await.refused(429, "rate_limited");
    from(&user, "X-Forwarded-For", "192.0.2.2")
        .send()
        .await
        .expect(200);
}

#[tokio::test]
async fn a_start_refuses_limits_it_does_not_understand() {
    for (settings, named) in [
        ("[rate_limit]\nchat = \"60\"", "rate_limit.chat"),
        ("[rate_limit]\nchats = \"60/120\"", "rate_limit.chat"),
        ("trusted_proxies = [\"10.0.0.0/33\"]", "trusted_proxies"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let (code, stderr) = Setup::settings(settings).fails_to_start(home.path()).await;
        assert_ne!(code, Some(0), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
}
