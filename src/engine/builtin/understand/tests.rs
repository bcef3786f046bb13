#![allow(clippy::unwrap_used)]

use super::super::request::{Field, Topic};
use super::*;

fn file(path: &str, text: &str) -> Request {
    Request::WriteFile {
        path: path.to_owned(),
        text: text.to_owned(),
        overwrite: false,
    }
}

fn inexact(example: &str) -> Request {
    Request::Inexact {
        example: example.to_owned(),
    }
}

fn added(path: &str, text: &str) -> Request {
    Request::AppendFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

fn asked(name: &str, text: &str) -> Request {
    Request::Ask {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

/// A text is written where it is marked as one; everything else might be a wish.
#[test]
fn only_a_text_that_is_given_is_written() {
    for (prompt, request) in [
        ("write a file x.txt with \"y\"", file("x.txt", "y")),
        ("write a file called x with 'y z'", file("x", "y z")),
        (
            "create a file a.txt saying good morning",
            file("a.txt", "good morning"),
        ),
        (
            "write a.txt with the words good morning",
            file("a.txt", "good morning"),
        ),
        (
            "make a new text file a.txt containing the text: hi",
            file("a.txt", "hi"),
        ),
        ("write \"hi\" to a.txt", file("a.txt", "hi")),
        (
            "save 'hi there' in the file a.txt please",
            file("a.txt", "hi there"),
        ),
        ("write file Makefile: all:", file("Makefile", "all:")),
        ("create an empty file a.txt", file("a.txt", "")),
        ("touch a.txt", file("a.txt", "")),
        ("append 'done' to log.txt", added("log.txt", "done\n")),
        (
            "add a line to log.txt saying bye",
            added("log.txt", "bye\n"),
        ),
        (
            "write a file hello.txt with Hello world",
            inexact("write hello.txt: Hello world"),
        ),
        ("write a file x with y", inexact("write x: y")),
        (
            "create a file todo.md containing a list of three fruits",
            inexact("write todo.md: a list of three fruits"),
        ),
        (
            "create a file named a.txt",
            inexact("write a.txt: the text"),
        ),
        (
            "write a poem about bees to poem.txt",
            inexact("write poem.txt: the text"),
        ),
        (
            "save this to notes.txt",
            inexact("write notes.txt: the text"),
        ),
        (
            "put it in the file list.txt",
            inexact("write list.txt: the text"),
        ),
        (
            "add more to log.txt",
            inexact("append to log.txt: the text"),
        ),
        (
            "replace a.txt with b.txt",
            inexact("overwrite a.txt: b.txt"),
        ),
    ] {
        assert_eq!(understand(prompt), request, "{prompt}");
    }
    for prompt in [
        "write me a poem about bees",
        "write a poem: about bees",
        "write an email to my boss",
        "write an email to Bob: I am late",
        "write a python script that prints hello",
        "create a python script hello.py that prints hello",
        "put the milk in the fridge",
        "save the world",
        "can you write code?",
        "write e.g. a story",
        "replace hello with bye in hello.txt",
        "overwrite the old one with the new one",
        "add milk to my shopping list",
        "edit hello.txt and change world to moon",
        "make me a sandwich",
    ] {
        let request = understand(prompt);
        let changes = matches!(
            request,
            Request::WriteFile { .. } | Request::AppendFile { .. } | Request::AddNote { .. }
        );
        assert!(!changes, "{prompt}: {request:?}");
    }
}

#[test]
fn what_takes_a_model_or_is_never_done_is_known_as_that() {
    for prompt in [
        "translate hello to German",
        "summarize README.md",
        "explain main.rs",
        "run ls -la",
        "please run the tests",
        "install python",
        "search the web for rust news",
        "search online for rust news",
    ] {
        assert_eq!(understand(prompt), Request::BeyondMe, "{prompt}");
    }
    for prompt in [
        "rename hello.txt to bye.txt",
        "rename the file hello.txt to bye.txt",
        "move hello.txt to docs",
        "copy hello.txt to bye.txt",
        "create a folder called projects",
        "make a new directory src",
    ] {
        assert_eq!(understand(prompt), Request::LeaveFiles, "{prompt}");
    }
    for prompt in [
        "change the theme to dark",
        "set an alarm for 7",
        "look at this: foo",
        "count the files",
    ] {
        assert_eq!(understand(prompt), Request::Unknown, "{prompt}");
    }
    let what = "call Bob tomorrow".to_owned();
    assert_eq!(
        understand("remind me to call Bob tomorrow"),
        Request::Remind { what }
    );
}

#[test]
fn works_that_are_not_given_are_refused_as_such() {
    for prompt in [
        "write me a poem",
        "create a website",
        "make a todo list",
        "create a python script hello.py that prints hello",
        "can you write code?",
    ] {
        assert_eq!(understand(prompt), Request::Compose, "{prompt}");
    }
}

#[test]
fn workers_are_made_and_asked_by_their_names() {
    for (prompt, request) in [
        ("ask Ada to write a test", asked("Ada", "write a test")),
        ("tell Ada to stop", asked("Ada", "stop")),
        ("make Ada review my code", asked("Ada", "review my code")),
        (
            "let Ada review my code, please",
            asked("Ada", "review my code"),
        ),
        (
            "what does Ada do?",
            Request::Worker {
                name: "Ada".to_owned(),
            },
        ),
        (
            "switch to claude",
            Request::UseEngine {
                engine: "claude".to_owned(),
            },
        ),
        (
            "let's use claude",
            Request::UseEngine {
                engine: "claude".to_owned(),
            },
        ),
        (
            "use the claude engine",
            Request::UseEngine {
                engine: "claude".to_owned(),
            },
        ),
        (
            "count from 5 to 10",
            Request::Count {
                from: 5,
                to: 10,
                slowly: false,
            },
        ),
        (
            "create a worker Ada please review my code now",
            Request::NamelessWorker,
        ),
    ] {
        assert_eq!(understand(prompt), request, "{prompt}");
    }
    let nameless = understand("create a worker please");
    assert!(
        matches!(nameless, Request::Incomplete { .. }),
        "{nameless:?}"
    );
}

#[test]
fn what_newcomers_say_in_passing_is_known() {
    let note = |text: &str| Request::AddNote {
        text: text.to_owned(),
    };
    for (prompt, request) in [
        ("save a note saying hello", note("hello")),
        ("write down that Ada is out", note("Ada is out")),
        ("save note: hello", note("hello")),
        ("show my tasks", Request::Explain(Topic::Task)),
        ("create a task", Request::Explain(Topic::Task)),
        ("stop everything", Request::Explain(Topic::Stop)),
        ("is anything running?", Request::Status),
        ("which model do you use?", Request::Who),
        ("how do I use LM Studio?", Request::AddModel),
        (
            "I have an OpenAI API key, how do I use it?",
            Request::AddModel,
        ),
        ("who are the workers?", Request::Workers),
    ] {
        assert_eq!(understand(prompt), request, "{prompt}");
    }
    for prompt in ["give Ada the claude engine", "use claude for Ada"] {
        let request = understand(prompt);
        let value = "claude".to_owned();
        let name = "Ada".to_owned();
        let field = Field::Engine;
        assert_eq!(
            request,
            Request::ChangeWorker { name, field, value },
            "{prompt}"
        );
    }
    let bob = understand("I want a worker named Bob for code review");
    assert!(
        matches!(&bob, Request::CreateWorker { name, .. } if name == "Bob"),
        "{bob:?}"
    );
    let nameless = understand("I need a worker that writes tests");
    assert_eq!(nameless, Request::NamelessWorker);
}

#[test]
fn chinese_is_answered_in_chinese() {
    let here = Request::ListFiles {
        path: String::new(),
    };
    for (prompt, request) in [
        ("列出文件", here),
        ("有哪些助手？", Request::Workers),
        ("查看引擎", Request::Engines),
        ("我的笔记", Request::Notes),
        ("添加模型", Request::ChineseAddModel),
        ("怎么接入一个模型?", Request::ChineseAddModel),
        ("你好", Request::Chinese),
        ("帮我写一个文件 hello.txt,内容是 你好世界", Request::Chinese),
        ("write hello.txt: 你好", file("hello.txt", "你好")),
    ] {
        assert_eq!(understand(prompt), request, "{prompt}");
    }
}
