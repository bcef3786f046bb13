//! Full-text search: it finds what is there, and nothing that is not there any more; its index can be lost at any time.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::engine::settings;
use crate::support::{Method, PATIENCE, Setup, TestServer, User};

/// A search with whatever is in the query, as a client writes it.
fn path(query: &[(&str, &str)]) -> String {
    let mut encoded = url::form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(query);
    format!("/api/search?{}", encoded.finish())
}

/// The whole answer once nothing is missing in it. Each question waits a while for that by itself.
async fn answered(user: &User, query: &[(&str, &str)]) -> Value {
    answered_within(user, query, PATIENCE).await
}

async fn answered_within(user: &User, query: &[(&str, &str)], within: Duration) -> Value {
    let begun = Instant::now();
    loop {
        let answer = user.read(&path(query)).await;
        if answer["indexing"] == false {
            return answer;
        }
        assert!(begun.elapsed() < within, "it is still indexing");
    }
}

async fn found(user: &User, query: &[(&str, &str)]) -> Vec<Value> {
    answered(user, query).await["results"]
        .as_array()
        .expect("a list")
        .clone()
}

/// The excerpts of what was found in messages, marked.
async fn messages(user: &User, q: &str) -> Vec<String> {
    let hits = found(user, &[("q", q), ("in", "messages")]).await;
    hits.iter().map(marked).collect()
}

fn marked(hit: &Value) -> String {
    let pieces = hit["excerpt"].as_array().expect("a list");
    let mark = |piece: &Value| match piece["match"] == true {
        true => format!("[{}]", piece["text"].as_str().expect("text")),
        false => piece["text"].as_str().expect("text").to_owned(),
    };
    pieces.iter().map(mark).collect()
}

/// A chat whose worker is told things and never answers while it hangs: what is said here is all there is.
async fn quiet_chat(user: &User) -> String {
    let (_, chat) = user.chat_with_engine("Quiet", "fake").await;
    let running = user.send(&chat, "hang").await;
    user.printed(&running, "hanging").await;
    chat
}

#[tokio::test]
async fn what_was_said_is_found_at_once_with_where_it_is() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let said = user.ask(&chat, "say A needle,\nin <b>hay</b>").await;
    let hits = found(&user, &[("q", "NEEDLE hay"), ("in", "messages")]).await;
    let texts: Vec<String> = hits.iter().map(marked).collect();
    assert!(
        texts.contains(&"say A [needle], in <b>[hay]</b>".to_owned()),
        "{texts:?}"
    );
    let reply = hits
        .iter()
        .find(|hit| hit["role"] == "bee")
        .unwrap_or_else(|| panic!("the reply in {hits:?}"));
    let id = said.message["id"].as_str().unwrap();
    for (name, value) in [
        ("kind", json!("message")),
        ("id", json!(id)),
        ("message_id", json!(id)),
        ("seq", said.message["seq"].clone()),
        ("session_id", json!(chat)),
        ("session_name", json!("Chat")),
        ("execution_id", said.execution["id"].clone()),
        ("worker_id", json!(worker)),
        ("author", json!("Ada")),
        ("url", json!(format!("/chats/{chat}#m={id}"))),
    ] {
        assert_eq!(reply[name], value, "{name} in {reply}");
    }
    // The chat by its name, also by its new one; and the execution by what it was asked.
    let renamed = json!({ "name": "Haystacks and pins" });
    user.patch(&format!("/api/local/sessions/{chat}"), &renamed)
        .await
        .expect(200);
    let chats = found(&user, &[("q", "haysta"), ("in", "sessions")]).await;
    assert_eq!(marked(&chats[0]), "[Haystacks] and pins");
    assert_eq!(chats[0]["url"], format!("/chats/{chat}"));
    let runs = found(&user, &[("q", "needle"), ("in", "executions")]).await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    let run = said.execution["id"].as_str().unwrap();
    assert_eq!(runs[0]["url"], format!("/executions/{run}"));
    let all = found(&user, &[("q", "pins")]).await;
    assert_eq!(all[0]["kind"], "session");
    server.stop().await;
}

#[tokio::test]
async fn words_parts_phrases_and_scripts_are_found() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let chat = quiet_chat(&user).await;
    for text in [
        "Deploy the blue server tomorrow",
        "The server is blue, the deployment is green",
        "我们用机器学习来翻译",
        "机器在学校里",
        "Ärger mit Straßenbahnen",
        "see src/main.rs:42",
    ] {
        user.send(&chat, text).await;
    }
    for (query, count) in [
        ("server blue", 2),
        ("\"blue server\"", 1),
        ("\"the server is bl", 1),
        ("\"the server is bl\"", 0),
        ("deploy", 2),
        ("deploy ", 1),
        ("机器学习", 1),
        ("机器", 2),
        ("学", 2),
        ("习", 1),
        ("译", 1),
        ("学机", 0),
        ("ärger STRASSENBAHNEN", 1),
        ("main.rs", 1),
        ("server nowhere", 0),
    ] {
        let texts = messages(&user, query).await;
        assert_eq!(texts.len(), count, "{query}: {texts:?}");
    }
    assert_eq!(messages(&user, "机器学").await, ["我们用[机器学]习来翻译"]);
}

#[tokio::test]
async fn what_fits_best_comes_first_and_pages_hold_everything_once() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let chat = quiet_chat(&user).await;
    user.send(&chat, &format!("apple {}", "and other words ".repeat(50)))
        .await;
    user.send(&chat, "apple apple apple").await;
    user.send(&chat, "applesauce is short").await;
    for n in 0..20 {
        user.send(&chat, &format!("number {n} of many")).await;
    }
    let ranked = messages(&user, "apple").await;
    assert_eq!(ranked[0], "[apple] [apple] [apple]");
    assert_eq!(ranked.len(), 3);
    let mut next = Some(path(&[("q", "many"), ("in", "messages"), ("limit", "7")]));
    let mut seen = Vec::new();
    answered(&user, &[("q", "many")]).await;
    while let Some(path) = next {
        let page = user.get(&path).await.expect(200);
        let hits = page.json()["results"].as_array().unwrap().clone();
        assert!(hits.len() <= 7);
        seen.extend(
            hits.iter()
                .map(|hit| hit["id"].as_str().unwrap().to_owned()),
        );
        next = page.next_page();
    }
    assert_eq!(seen.len(), 20);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn what_was_deleted_or_replaced_is_found_no_more() {
    let setup = format!(
        "{}\n[limits]\nretention_after_start_s = 86400\n[retention]\nexecutions_age = \"1s\"\n",
        settings()
    );
    let server = TestServer::with(&setup).await;
    let user = server.log_in().await;
    let (worker, chat) = user.chat_with_engine("Ada", "fake").await;
    let first = user.ask(&chat, "say the original").await;
    let message = &user.messages(&chat).await[0];
    let edited = json!({ "content": "say the correction", "replaces": message["id"] });
    let second = user.send_with(&chat, &edited).await;
    user.ended(&second).await;
    assert_eq!(messages(&user, "original").await, [""; 0]);
    assert_eq!(messages(&user, "correction").await.len(), 2);
    let gone = user.chat_with(&worker).await;
    user.ask(&gone, "say ephemeral").await;
    assert_eq!(messages(&user, "ephemeral").await.len(), 2);
    user.delete(&format!("/api/local/sessions/{gone}"))
        .await
        .expect(200);
    assert_eq!(messages(&user, "ephemeral").await, [""; 0]);
    // The execution stays when its chat goes, until it is too old.
    let runs = [("q", "ephemeral"), ("in", "executions")];
    assert_eq!(found(&user, &runs).await.len(), 1);
    let path = format!(
        "/api/executions/{}",
        first.execution["id"].as_str().unwrap()
    );
    let begun = Instant::now();
    while user.get(&path).await.status == 200 {
        user.post("/api/retention", &json!({})).await.expect(200);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(begun.elapsed() < PATIENCE, "it grows old");
    }
    let originals = [("q", "original"), ("in", "executions")];
    assert_eq!(found(&user, &originals).await, [json!(null); 0]);
    server.stop().await;
}

/// Damages the index in its own way.
type Damage = fn(&Path);

#[tokio::test]
async fn a_lost_index_is_made_anew_and_a_killed_one_goes_on() {
    let server = TestServer::with(&settings()).await;
    let mut user = server.log_in().await;
    let (_, chat) = user.chat_with_engine("Ada", "fake").await;
    user.ask(&chat, "say needle").await;
    assert_eq!(messages(&user, "needle").await.len(), 2);
    let damages: [Damage; 9] = [
        |_| {},
        |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(),
        |file| fs::write(file, "no index at all").unwrap(),
        |file| fs::write(file, "").unwrap(),
        |file| {
            let length = fs::metadata(file).unwrap().len();
            let file = fs::File::options().write(true).open(file).unwrap();
            file.set_len(length / 2).unwrap();
        },
        // Another file of the same content, as a copy is.
        |file| {
            let bytes = fs::read(file).unwrap();
            fs::remove_file(file).unwrap();
            fs::write(file, bytes).unwrap();
        },
        // Something else in its place.
        |file| {
            fs::remove_file(file).unwrap();
            fs::create_dir_all(file.join("inner")).unwrap();
        },
        |file| {
            fs::remove_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file.parent().unwrap(), "no directory at all").unwrap();
        },
        |file| {
            fs::remove_dir_all(file.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/nowhere/at/all", file.parent().unwrap()).unwrap();
        },
    ];
    let mut server = server;
    for (round, damage) in damages.into_iter().enumerate() {
        user.ask(&chat, &format!("say round{round}")).await;
        let killed = server.kill().await;
        damage(&killed.data.join("search/index.redb"));
        server = killed.start().await;
        user = user.at(&server);
        assert_eq!(messages(&user, "needle").await.len(), 2, "round {round}");
        let of_round = messages(&user, &format!("round{round}")).await;
        assert_eq!(of_round.len(), 2, "round {round}");
    }
    let folder = server.data.join("search");
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("index.redb")), 0o600);
    server.stop().await;
}

/// No term of what was deleted stays on disk after a purge.
#[tokio::test]
async fn a_purge_reaches_the_index() {
    let server = TestServer::with(&settings()).await;
    let user = server.log_in().await;
    let chat = user.chat().await;
    let path = format!("/api/local/sessions/{chat}");
    user.patch(&path, &json!({ "name": "xyzzysecret" }))
        .await
        .expect(200);
    assert_eq!(found(&user, &[("q", "xyzzysecret")]).await.len(), 1);
    user.delete(&path).await.expect(200);
    let kept = user.chat().await;
    user.patch(
        &format!("/api/local/sessions/{kept}"),
        &json!({ "name": "plughkept" }),
    )
    .await
    .expect(200);
    user.post("/api/purge", &json!({})).await.expect(200);
    assert_eq!(found(&user, &[("q", "plughkept")]).await.len(), 1);
    let stopped = server.stop().await;
    let bytes = fs::read(stopped.data.join("search/index.redb")).unwrap();
    let holds = |word: &str| {
        bytes
            .windows(word.len())
            .any(|part| part == word.as_bytes())
    };
    assert!(holds("plughkept") && !holds("xyzzysecret"));
}

#[tokio::test]
async fn hostile_queries_are_answered_and_long_ones_refused() {
    let server = Setup::settings("[limits]\nsearch_query_bytes_max = 64\n")
        .start()
        .await;
    let user = server.log_in().await;
    user.chat().await;
    for q in [
        "",
        " ",
        "\"",
        "\"\"\"\"",
        "*",
        "a*b",
        "[0 TO *]",
        "chat AND OR NOT (",
        "\\",
        "%",
        "\u{0}",
        "\u{202e}\u{301}",
        "-",
        "field:chat^9~",
        "../../etc/passwd",
        "<script>",
        "𝒳𝒴",
        "'; drop",
    ] {
        found(&user, &[("q", q)]).await;
    }
    let longest = "x".repeat(64);
    found(&user, &[("q", &longest)]).await;
    for query in [
        path(&[("q", &format!("{longest}x"))]),
        path(&[("q", "x"), ("in", "everything")]),
        path(&[("q", "x"), ("in", "messages,")]),
        path(&[("q", "x"), ("limit", "0")]),
        path(&[("q", "x"), ("cursor", "x")]),
        "/api/search".to_owned(),
        "/api/search?q=%ff%fe".to_owned(),
    ] {
        let answer = user.get(&query).await;
        assert!(answer.status == 400 || query.contains("%ff"), "{query}");
        assert!(answer.status < 500, "{query}");
    }
}

#[tokio::test]
async fn whoever_may_read_may_search() {
    let server = TestServer::start().await;
    let user = server.log_in().await;
    let key = json!({ "name": "reader", "scopes": ["read"] });
    let key = user.post("/api/tokens", &key).await.expect(201).json();
    let reader = user.with_token(key["token"].as_str().unwrap());
    found(&reader, &[("q", "x")]).await;
    let anonymous = server.call(Method::Get, &path(&[("q", "x")])).send().await;
    anonymous.refused(401, "missing_token");
}

/// Of many messages the newest and best are found, also while the index is made.
#[tokio::test]
async fn many_messages_are_found_after_the_index_was_lost() {
    let count = crate::support::number_from("SKEP_TEST_SEARCHED", 600) as usize;
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let data = home.path().join("hive");
    fs::create_dir(&data).unwrap();
    skep::cli::bench::fill::fill(&data, count).await.unwrap();
    let begun = Instant::now();
    let server = Setup::default().start_on(&home, &data).await;
    let user = server.log_in().await;
    let first = user.read(&path(&[("q", "ordinary")])).await;
    assert!(first["indexing"].is_boolean(), "{first}");
    let last = [("q", "ordinary"), ("limit", "1")];
    answered_within(&user, &last, PATIENCE * 20).await;
    println!("{count} messages in the index after {:?}", begun.elapsed());
    let whole = found(
        &user,
        &[("q", "what could be done instead"), ("in", "messages")],
    )
    .await;
    assert_eq!(whole.len(), (count / 2).min(1000));
    for q in ["ordinary", "\"left to do\"", "a", "people writ"] {
        let begun = Instant::now();
        let hits = found(&user, &[("q", q), ("in", "messages"), ("limit", "20")]).await;
        println!("{q}: {:?}", begun.elapsed());
        assert_eq!(hits.len(), 20, "{q}");
    }
    let (now, peak) = crate::support::memory(server.pid());
    println!("{} KiB now, {} KiB at most", now >> 10, peak >> 10);
    server.stop().await;
}
