//! What the languages of code in replies look like, as far as [`super::lexer`] asks. A language is one entry of
//! [`LANGUAGES`].

use super::lexer::Kind;

/// How a text is read.
pub(super) enum Shape {
    Code,
    Markup,
    Patch,
}

/// What a string begins and ends with.
pub(super) struct Quote {
    pub(super) open: &'static str,
    pub(super) close: &'static str,
    /// A backslash takes the meaning from what follows.
    pub(super) has_escapes: bool,
    pub(super) has_lines: bool,
    /// It holds one character; what does not is no string.
    pub(super) is_character: bool,
}

/// One language. Words are parted by single spaces.
pub(super) struct Language {
    /// What follows the fence, in small letters.
    pub(super) names: &'static str,
    pub(super) shape: Shape,
    pub(super) keywords: &'static str,
    pub(super) types: &'static str,
    /// `#` counts only behind a space.
    pub(super) line_comments: &'static [&'static str],
    pub(super) block_comments: &'static [(&'static str, &'static str)],
    /// The longer ones first.
    pub(super) quotes: &'static [Quote],
    /// Characters before a word that make it what it is.
    pub(super) sigils: &'static [(char, Kind)],
    /// What words are made of besides letters, digits and `_`.
    pub(super) of_words: &'static str,
    /// What follows a key.
    pub(super) key_mark: Option<char>,
    pub(super) has_capital_types: bool,
    /// Keywords in any case.
    pub(super) is_caseless: bool,
}

/// The language of that name, as people and models write it.
pub(super) fn find(name: &str) -> Option<&'static Language> {
    let is_named = |language: &&Language| {
        let mut names = language.names.split(' ');
        names.any(|known| known.eq_ignore_ascii_case(name))
    };
    LANGUAGES.iter().find(is_named)
}

const fn quote(mark: &'static str) -> Quote {
    Quote {
        open: mark,
        close: mark,
        has_escapes: true,
        has_lines: false,
        is_character: false,
    }
}

const fn lines(open: &'static str, close: &'static str) -> Quote {
    Quote {
        has_escapes: false,
        has_lines: true,
        close,
        ..quote(open)
    }
}

const DOUBLE: Quote = quote("\"");
const SINGLE: Quote = quote("'");
const TEMPLATE: Quote = Quote {
    has_lines: true,
    ..quote("`")
};
const CHARACTER: Quote = Quote {
    is_character: true,
    ..SINGLE
};
const DOUBLE_LINES: Quote = Quote {
    has_lines: true,
    ..DOUBLE
};
const TRIPLE: Quote = lines("\"\"\"", "\"\"\"");

const PLAIN: Language = Language {
    names: "",
    shape: Shape::Code,
    keywords: "",
    types: "",
    line_comments: &[],
    block_comments: &[],
    quotes: &[DOUBLE, SINGLE],
    sigils: &[],
    of_words: "",
    key_mark: None,
    has_capital_types: false,
    is_caseless: false,
};
/// Comments, strings and types as C has them.
const C_LIKE: Language = Language {
    line_comments: &["//"],
    block_comments: &[("/*", "*/")],
    has_capital_types: true,
    ..PLAIN
};
/// Comments as a shell has them.
const HASH: Language = Language {
    line_comments: &["#"],
    ..PLAIN
};

#[rustfmt::skip]
static LANGUAGES: &[Language] = &[
    Language {
        names: "rust rs",
        keywords: "as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait type union unsafe use where while yield",
        types: "bool char f32 f64 i8 i16 i32 i64 i128 isize str u8 u16 u32 u64 u128 usize",
        quotes: &[lines("r##\"", "\"##"), lines("r#\"", "\"#"), lines("r\"", "\""), DOUBLE_LINES, CHARACTER],
        ..C_LIKE
    },
    Language {
        names: "python py python3 pyi ipython",
        keywords: "and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return self try while with yield",
        types: "bool bytes dict float frozenset int list object set str tuple type",
        quotes: &[TRIPLE, lines("'''", "'''"), DOUBLE, SINGLE],
        sigils: &[('@', Kind::Meta)],
        has_capital_types: true,
        ..HASH
    },
    Language {
        names: "javascript js jsx mjs cjs typescript ts tsx mts cts",
        keywords: "abstract as async await break case catch class const continue debugger declare default delete do else enum export extends finally for from function get if implements import in infer instanceof interface is keyof let namespace new of override private protected public readonly return satisfies set static super switch this throw try type typeof var while with yield",
        types: "any bigint boolean never number object string symbol unknown void",
        quotes: &[DOUBLE, SINGLE, TEMPLATE],
        sigils: &[('@', Kind::Meta)],
        of_words: "$",
        ..C_LIKE
    },
    Language {
        names: "bash sh shell zsh ksh fish",
        keywords: "alias break case cd continue do done echo elif else end esac eval exec exit export fi for function if in local readonly return set shift source sudo test then trap unset until while",
        quotes: &[DOUBLE_LINES, lines("'", "'")],
        sigils: &[('$', Kind::Property)],
        of_words: "-./",
        ..HASH
    },
    Language {
        names: "powershell ps1 pwsh",
        keywords: "begin break catch continue do else elseif end exit filter finally for foreach function if in param process return switch throw trap try until using while",
        block_comments: &[("<#", "#>")],
        quotes: &[lines("@\"", "\"@"), lines("@'", "'@"), lines("\"", "\""), lines("'", "'")],
        sigils: &[('$', Kind::Property)],
        of_words: "-",
        is_caseless: true,
        ..HASH
    },
    Language { names: "json jsonc json5 jsonl ndjson", key_mark: Some(':'), has_capital_types: false, ..C_LIKE },
    Language {
        names: "toml",
        quotes: &[TRIPLE, lines("'''", "'''"), DOUBLE, SINGLE],
        of_words: "-.",
        key_mark: Some('='),
        ..HASH
    },
    Language { names: "ini conf cfg properties dotenv env editorconfig systemd", line_comments: &["#", ";"], of_words: "-.'", key_mark: Some('='), ..PLAIN },
    Language { names: "yaml yml", keywords: "on off yes no", of_words: "-./'", key_mark: Some(':'), ..HASH },
    Language { names: "hcl terraform tf", keywords: "data for if in locals module output provider resource terraform variable", types: "any bool list map number object set string", block_comments: &[("/*", "*/")], line_comments: &["#", "//"], of_words: "-", key_mark: Some('='), ..PLAIN },
    Language {
        names: "go golang",
        keywords: "break case chan const continue default defer else fallthrough for func go goto if import interface iota map package range return select struct switch type var",
        types: "any bool byte complex64 complex128 error float32 float64 int int8 int16 int32 int64 rune string uint uint8 uint16 uint32 uint64 uintptr",
        quotes: &[DOUBLE, lines("`", "`"), CHARACTER],
        ..C_LIKE
    },
    Language {
        names: "c h cpp c++ cc cxx hpp hh objc cuda arduino",
        keywords: "alignas alignof auto break case catch class co_await co_return co_yield concept const consteval constexpr continue decltype default delete do else enum explicit extern final for friend goto if inline mutable namespace new noexcept operator override private protected public register requires restrict return sizeof static static_assert struct switch template this throw try typedef typename union using virtual volatile while",
        types: "bool char double float int int8_t int16_t int32_t int64_t long short signed size_t ssize_t uint8_t uint16_t uint32_t uint64_t unsigned void wchar_t",
        quotes: &[lines("R\"(", ")\""), DOUBLE, CHARACTER],
        sigils: &[('#', Kind::Meta)],
        ..C_LIKE
    },
    Language {
        names: "java kotlin kt kts scala groovy gradle",
        keywords: "abstract as assert break by case catch class companion const continue data def default do else enum extends extension final finally for fun given if implements import in init instanceof interface internal is lateinit lazy match native new object open operator out override package permits private protected public record return sealed static super suspend switch synchronized this throw throws trait transient try type typealias using val var volatile when where while with yield",
        types: "boolean byte char double float int long short void",
        quotes: &[TRIPLE, DOUBLE, CHARACTER],
        sigils: &[('@', Kind::Meta)],
        ..C_LIKE
    },
    Language {
        names: "csharp cs c# fsharp fs dart swift",
        keywords: "abstract actor as async await base break case catch class const continue defer default delegate do else enum event explicit extends extension factory fallthrough final finally fixed for foreach func get goto guard if implements implicit import in init inout interface internal is late let lock mixin mutating namespace new operator out override params part private protocol protected public readonly record ref repeat required return sealed self set sizeof static struct super switch this throw throws try typealias typeof unsafe using var virtual when where while with yield",
        types: "bool byte char decimal double dynamic float int long object sbyte short string uint ulong ushort void",
        quotes: &[TRIPLE, lines("@\"", "\""), DOUBLE, SINGLE],
        sigils: &[('#', Kind::Meta), ('@', Kind::Meta)],
        ..C_LIKE
    },
    Language {
        names: "php",
        keywords: "abstract and array as break case catch class clone const continue declare default do echo else elseif empty enum extends final finally fn for foreach function global if implements include instanceof interface isset match namespace new or print private protected public readonly require require_once return static switch throw trait try unset use var while yield",
        types: "bool callable float int iterable mixed object self string void",
        line_comments: &["//", "#"],
        sigils: &[('$', Kind::Property)],
        ..C_LIKE
    },
    Language {
        names: "ruby rb elixir ex exs crystal",
        keywords: "alias and begin break case class cond def defimpl defmodule defp defprotocol defstruct do else elsif end ensure extend fn for if import in include loop module new next not or private protected public quote raise redo rescue retry return require self super then undef unless until use when while with yield",
        quotes: &[TRIPLE, DOUBLE, SINGLE],
        sigils: &[('@', Kind::Property), ('$', Kind::Property)],
        of_words: "?",
        has_capital_types: true,
        ..HASH
    },
    Language {
        names: "sql sqlite postgres postgresql psql mysql plsql tsql",
        keywords: "add all alter and any as asc begin between by cascade case check column commit conflict constraint create cross database default delete desc distinct do drop else end except exists explain foreign from full function group having if ilike in index inner insert intersect into is join key left like limit not nothing offset on or order outer over partition primary recursive references returning right rollback select set table temporary then transaction trigger truncate union unique update using values view when where window with",
        types: "bigint blob boolean char date decimal double float int integer interval json jsonb numeric real serial smallint text time timestamp timestamptz uuid varchar",
        line_comments: &["--"],
        block_comments: &[("/*", "*/")],
        quotes: &[lines("'", "'"), lines("\"", "\""), lines("`", "`")],
        is_caseless: true,
        ..PLAIN
    },
    Language { names: "css scss sass less", block_comments: &[("/*", "*/")], line_comments: &[], sigils: &[('.', Kind::Type), ('#', Kind::Number), ('@', Kind::Keyword), ('$', Kind::Property)], of_words: "-", key_mark: Some(':'), ..PLAIN },
    Language { names: "html xml svg xhtml vue svelte rss plist xsd", shape: Shape::Markup, of_words: "-:.@", ..PLAIN },
    Language { names: "diff patch udiff", shape: Shape::Patch, ..PLAIN },
    Language { names: "dockerfile docker containerfile", keywords: "ADD ARG AS CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR", sigils: &[('$', Kind::Property)], of_words: "-./", ..HASH },
    Language { names: "makefile make mk just justfile cmake", keywords: "define else endef endif export ifdef ifeq ifndef ifneq include override", sigils: &[('$', Kind::Property), ('.', Kind::Meta)], of_words: "-/'", ..HASH },
    Language { names: "lua", keywords: "and break do else elseif end for function goto if in local not or repeat return then until while", line_comments: &["--"], block_comments: &[("--[[", "]]")], quotes: &[lines("[[", "]]"), DOUBLE, SINGLE], ..PLAIN },
    Language { names: "r julia jl perl pl nix", keywords: "abstract assert baremodule begin break do else elseif elsif end export finally for foreach function if import in inherit let local module my mutable next our package print rec repeat return struct sub then try unless use using where while with", sigils: &[('$', Kind::Property), ('@', Kind::Meta)], has_capital_types: true, ..HASH },
    Language { names: "haskell hs", keywords: "case class data deriving do else forall if import in infix instance let module newtype of then type where", line_comments: &["--"], block_comments: &[("{-", "-}")], quotes: &[DOUBLE, CHARACTER], of_words: "'", has_capital_types: true, ..PLAIN },
    Language { names: "zig", keywords: "align and break catch comptime const continue defer else enum errdefer error export extern fn for if inline or orelse packed pub return struct switch test threadlocal try union unreachable usingnamespace var volatile while", types: "anyerror anytype bool f32 f64 i8 i16 i32 i64 isize type u8 u16 u32 u64 usize void", quotes: &[DOUBLE, CHARACTER], sigils: &[('@', Kind::Function)], ..C_LIKE },
    Language { names: "proto protobuf graphql gql", keywords: "directive enum extend fragment implements import input interface map message mutation on oneof option optional package query repeated required reserved returns rpc scalar schema service subscription syntax type union", types: "bool bytes double fixed32 fixed64 float int32 int64 sint32 sint64 string uint32 uint64", line_comments: &["//", "#"], quotes: &[TRIPLE, DOUBLE, SINGLE], sigils: &[('@', Kind::Meta), ('$', Kind::Property)], ..C_LIKE },
];
