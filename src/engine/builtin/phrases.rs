//! What it says of itself, and what can be said to it.

use super::request::Topic;

/// Commands by subject, as the help shows them.
pub const HELP: &[(&str, &[(&str, &str)])] = &[
    (
        "Files of the work directory",
        &[
            ("list files", "what is there; `ls src` for a directory"),
            ("show README.md", "the text of a file"),
            ("find TODO in src", "lines that hold a text"),
            (
                "write hello.txt: Hello!",
                "a new file; on the next lines if it is longer",
            ),
            ("overwrite hello.txt: Hi!", "the same, when the file exists"),
            ("append to log.txt: done", "one more line"),
        ],
    ),
    (
        "Notes",
        &[
            ("note: buy milk", "remember something, in `NOTES.md`"),
            ("notes", "what was noted"),
            ("forget note 2", "one note less"),
        ],
    ),
    (
        "Workers",
        &[
            ("workers", "who there is and what they do"),
            (
                "create a worker named Ada that reviews Rust code",
                "a new one; add `using claude` for its engine",
            ),
            (
                "show worker Ada",
                "one of them; `status of Ada` for what it does",
            ),
            ("rename Ada to Grace", "a new name"),
            (
                "set Ada's description to writes tests",
                "also engine, model, memory",
            ),
            ("delete worker Ada", "while it is idle; its files stay"),
        ],
    ),
    (
        "Skep",
        &[
            ("status", "what runs and waits, and how big everything is"),
            ("engines", "what can answer here, and what is missing"),
            ("add a model", "how to get one"),
            ("count to 100 slowly", "shows streaming and the stop button"),
        ],
    ),
];

/// Said wherever somebody may take it for more than it is.
pub const NO_MODEL: &str = "I am Skep's built-in assistant, **not a language model**: I follow plain rules and understand plain commands.";

/// What something is, or how it is done, in a sentence or two.
pub fn explained(topic: Topic) -> &'static str {
    match topic {
        Topic::Skep => {
            "Skep runs a hive of workers on this machine and lets you chat with them from the browser. The workers answer with the engines that are installed here, and everything they do is kept in one data directory."
        }
        Topic::Worker => {
            "A worker is an assistant with a name, a memory, a directory and an engine of its own. Begin a message with `@` and its name to talk to it, or let Skep choose the one that is good at what you ask."
        }
        Topic::MakeWorker => {
            "Say what it is called and what it is good at, for example: `create a worker named Poet that writes poems`. The Workers page can do it too."
        }
        Topic::Password => "Open the account menu and choose **Change password**.",
        Topic::Task => {
            "A task starts a worker by itself: at once, at a time, or again and again. The **Tasks** page shows and makes them; I do neither."
        }
        Topic::Stop => {
            "The Stop button beside the message field, or the Esc key, stops a reply that is being written."
        }
    }
}

/// How to get a model.
pub const ADD_MODEL: &str = "**For a model**, any one of these is enough:\n\n\
- **A model on this machine.** Start Ollama (`ollama serve`, then `ollama pull qwen3:8b`), llama.cpp (`llama-server -m MODEL.gguf --jinja`) or LM Studio's server. Skep finds it by itself at its usual port; nothing to configure.\n\
- **An agent's command line.** Install `claude`, `codex`, `opencode` or `gemini`, and sign in with it once in a terminal. Skep finds it on `PATH` and uses your own login.\n\
- **A model with an API key.** Put this into `skep.toml` in the data directory, the key into the environment (or a file of that name in `keys/`), and restart Skep:\n\n\
```toml\ndefault_engine = \"cloud\"\n\n[engines.cloud]\nkind = \"http\"\nurl = \"https://api.openai.com/v1\"\nmodel = \"gpt-5\"\nkey = \"OPENAI_API_KEY\"\n```\n\n\
The first two are used from your next message on, by me as well; a program put in a new directory of `PATH` needs a restart.";

/// Asked to make something up.
pub const COMPOSE: &str = "I write exactly the text I am given, as in `write hello.txt: Hello!`, and cannot make anything up: that takes a language model.";

/// Asked for what needs a mind or a shell.
pub const BEYOND_ME: &str = "That takes a language model, and I am none: I know plain commands over files, notes and workers, and start no programs. Say `help` for what I can do.";

/// Asked to do to files what cannot be taken back, or what makes none.
pub const LEAVE_FILES: &str = "I do not move, copy, rename or delete files: I read, write and append. A directory comes with its first file: `write notes/today.md: Hello!`.";

/// To somebody who speaks Chinese.
pub const CHINESE: &str = "你好！我是 Skep 的内置助手，**不是语言模型**：我只按固定规则理解简单的命令，而且命令要用英文。例如：\n\n\
| 命令 | 作用 |\n| --- | --- |\n\
| `list files` | 列出工作目录中的文件 |\n\
| `show README.md` | 显示一个文件 |\n\
| `write hello.txt: 你好` | 新建一个文件 |\n\
| `note: 买牛奶` | 记一条笔记 |\n\
| `create a worker named Ada that reviews Rust code` | 新建一个助手 |\n\
| `help` | 全部命令 |\n\n\
想用中文自由对话，需要一个模型：说 `添加模型`。";

/// The same, asked how to get a model.
pub const CHINESE_ADD_MODEL: &str = "**要接入模型**，以下任选其一：\n\n\
- **本机上的模型。** 启动 Ollama（`ollama serve`，然后 `ollama pull qwen3:8b`）、llama.cpp（`llama-server -m MODEL.gguf --jinja`）或 LM Studio 的服务器。Skep 会在它们的常用端口自动找到，无需配置。\n\
- **命令行智能体。** 安装 `claude`、`codex`、`opencode` 或 `gemini`，并在终端里登录一次。Skep 会在 `PATH` 中找到它，使用你自己的登录。\n\
- **带 API 密钥的模型。** 在数据目录的 `skep.toml` 中写入下面的内容，把密钥放进环境变量（或 `keys/` 中同名的文件），然后重启 Skep：\n\n\
```toml\ndefault_engine = \"cloud\"\n\n[engines.cloud]\nkind = \"http\"\nurl = \"https://api.openai.com/v1\"\nmodel = \"gpt-5\"\nkey = \"OPENAI_API_KEY\"\n```";

/// The short form of it.
pub const ADD_MODEL_SHORT: &str = "For more than that, say `add a model`: it tells how.";

/// The commands that a message may have meant, best first: those whose words it shares, or almost.
pub fn near(message: &str) -> Vec<&'static str> {
    const SHOWN: usize = 3;
    let words = message_words(message);
    let commands = HELP.iter().flat_map(|(_, commands)| commands.iter());
    let mut scored: Vec<(u32, &'static str)> = commands
        .chain([&("help", ""), &("who are you", "")])
        .map(|(example, _)| (closeness(&words, example), *example))
        .filter(|(score, _)| *score > 0)
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.truncate(SHOWN);
    scored.into_iter().map(|(_, example)| example).collect()
}

/// The words of a message that say something, few and short enough to compare with everything.
fn message_words(message: &str) -> Vec<String> {
    const WORDS_MAX: usize = 16;
    const WORD_BYTES_MAX: usize = 24;
    message
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| (3..=WORD_BYTES_MAX).contains(&word.len()))
        .filter(|word| {
            ![
                "the", "and", "you", "are", "can", "for", "with", "that", "how", "what", "who",
                "why", "does", "much", "many",
            ]
            .contains(word)
        })
        .take(WORDS_MAX)
        .map(str::to_lowercase)
        .collect()
}

fn closeness(words: &[String], example: &str) -> u32 {
    // The first word says what a command does; names and texts in the example say nothing.
    let keywords = message_words(example.split(':').next().unwrap_or_default());
    let weight = |at: usize| if at == 0 { 2 } else { 1 };
    let close = |word: &str, keyword: &str| match distance(word, keyword) {
        0 => 3,
        1 if keyword.len() >= 4 => 2,
        2 if keyword.len() >= 6 => 1,
        _ if keyword.trim_end_matches('s') == word.trim_end_matches('s') => 3,
        _ => 0,
    };
    words
        .iter()
        .filter_map(|word| {
            let scores = keywords.iter().enumerate();
            scores
                .map(|(at, keyword)| weight(at) * close(word, keyword))
                .max()
        })
        .sum()
}

/// How many letters are added, missing, swapped or wrong.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let wrong = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + wrong);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
