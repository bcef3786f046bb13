//! Everything below a path, for a proxy that serves other things beside it.

use serde_json::json;

use crate::support::{Method, Setup, TestServer, User};

async fn below_skep() -> (TestServer, User) {
    let server = Setup::default()
        .arg("--base-path")
        .arg("/skep")
        .start()
        .await;
    let user = server.log_in().await;
    (server, user)
}

#[tokio::test]
async fn the_links_are_below_the_base() {
    let (server, _) = below_skep().await;
    let url = format!("http://{}/skep", server.address);
    assert_eq!(server.announced[0], format!("Skep is ready at {url}"));
    assert!(server.announced[1].starts_with(&format!("Sign in: {url}/#code=")));
    let setup = Setup::settings("base_path = \"/a/b/\"\npublic_url = \"https://hive.example\"\n");
    let server = setup.start().await;
    assert_eq!(
        server.announced[0],
        "Skep is ready at https://hive.example/a/b"
    );
}

/// The page and all that it names, from every address of the console.
#[tokio::test]
async fn the_console_and_its_modules_are_below_the_base() {
    let (server, _) = below_skep().await;
    let to_page = server.call(Method::Get, "/skep").send().await.expect(308);
    assert_eq!(to_page.header("location"), Some("/skep/"));
    for page in ["/skep/", "/skep/chats/1", "/skep/executions"] {
        let page = server.call(Method::Get, page).send().await.expect(200);
        let html = page.text();
        let mut named = 0;
        for attribute in ["href=\"", "src=\""] {
            for url in html.split(attribute).skip(1) {
                let url = url.split('"').next().unwrap();
                assert!(url.starts_with("/skep/"), "{url}");
                let asset = server.call(Method::Get, url).send().await.expect(200);
                assert_ne!(asset.header("content-type"), page.header("content-type"));
                // Asked for once; the page alone is asked for each time, and names others after an update.
                let is_kept = asset.header("cache-control").unwrap().contains("immutable");
                assert_eq!(
                    is_kept,
                    url.ends_with(".js") || url.ends_with(".css"),
                    "{url}"
                );
                named += 1;
            }
        }
        assert!(named > 40, "{named}");
        // Asked for below a version, a page is still asked for each time.
        let (_, version) = html.split_once("/skep/v-").unwrap();
        let version = version.split('/').next().unwrap();
        let pinned = format!("/skep/v-{version}/index.html");
        let pinned = server.call(Method::Get, &pinned).send().await.expect(200);
        assert_eq!(pinned.header("cache-control"), Some("no-cache"));
    }
    // All styles come in one file, each whole and in its order.
    let sheet = server
        .call(Method::Get, "/skep/css/console.css")
        .send()
        .await
        .expect(200)
        .text();
    assert!(!sheet.contains("@import"));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/css");
    let at = |name: &str| {
        let part = std::fs::read_to_string(folder.join(name)).unwrap();
        sheet.find(&part).expect(name)
    };
    assert!(at("tokens.css") < at("base.css") && at("base.css") < at("palette.css"));
    let manifest = server
        .call(Method::Get, "/skep/manifest.webmanifest")
        .send()
        .await
        .expect(200);
    assert!(!manifest.text().contains("\"/"), "{}", manifest.text());
}

/// No script names a path of the server without saying that it is below the base.
#[test]
fn scripts_take_their_paths_from_one_place() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/js");
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.display();
            for call in ["fetch(", "xhr.open('POST', "] {
                for rest in text.split(call).skip(1) {
                    assert!(rest.starts_with("below("), "{name} says {call}");
                }
            }
            let is_router = path.ends_with("router.js");
            for call in ["history.pushState", "location.pathname"] {
                let may = is_router || path.ends_with("main.js");
                assert!(may || !text.contains(call), "{name} says {call}");
            }
        }
    }
}

/// What answers name is what a client can ask for: `Location`, `Link`, `url` and the cookies' paths.
#[tokio::test]
async fn everything_that_answers_name_is_below_the_base() {
    let (server, user) = below_skep().await;
    let mut first = String::new();
    for name in ["One", "Two"] {
        let body = json!({ "name": name });
        let created = user.post("/skep/api/local/sessions", &body).await;
        let created = created.expect(201);
        first = created.header("location").unwrap().to_owned();
        assert!(first.starts_with("/skep/api/local/sessions/"), "{first}");
        assert_eq!(user.read(&first).await["name"], name);
    }
    let all = user.read_all("/skep/api/local/sessions?limit=1").await;
    assert_eq!(all.len(), 2);
    let upload = user
        .call(Method::Post, &format!("{first}/media"))
        .file("file", "a.txt", b"text");
    let url = upload.send().await.expect(200).json()["url"].to_string();
    let url = url.trim_matches('"').to_owned();
    assert!(url.starts_with("/skep/api/"), "{url}");
    assert_eq!(user.get(&url).await.expect(200).text(), "text");

    let log_in = json!({ "username": "admin", "password": crate::support::server::PASSWORD });
    let signed_in = server
        .call(Method::Post, "/skep/api/auth/login")
        .json(&log_in)
        .send()
        .await
        .expect(200);
    let cookies: Vec<&str> = signed_in.all("set-cookie").collect();
    assert!(!cookies.is_empty());
    for cookie in cookies {
        assert!(cookie.contains("Path=/skep/api"), "{cookie}");
    }
}

/// A proxy that takes the base off itself, a probe and the other commands come without it.
#[tokio::test]
async fn what_comes_without_the_base_is_taken_as_it_is() {
    let (server, user) = below_skep().await;
    for path in ["/healthz", "/skep/healthz"] {
        server.call(Method::Get, path).send().await.expect(200);
    }
    user.get("/api/me").await.expect(200);
    let missing = user.get("/skepper/api/me").await;
    assert!(
        missing
            .header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    user.get("/skep/api/nothing")
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn a_base_that_cannot_be_one_is_refused() {
    let data = tempfile::tempdir().unwrap();
    for base in [
        "skep", "/a b", "/a/../b", "/a//b", "/a?b", "/api", "/api/x", "/js",
    ] {
        let setup = Setup::default().arg("--base-path").arg(base);
        let (code, stderr) = setup.fails_to_start(data.path()).await;
        assert_eq!(code, Some(2), "{base}: {stderr}");
        assert!(stderr.contains("--base-path"), "{stderr}");
    }
}
