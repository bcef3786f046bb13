//! What has been done to servers like this one, done to this one. Each test is named after what it prevents.
//!
//! Owns attacks over the wire, from a browser, from another program of this machine, and from engines. Must never
//! repeat what a test beside the feature holds already: those are in the table. Start reading at the table.
//!
//! | Attack | Test |
//! |---|---|
//! | a token in an address reaches a log, a link, a referrer, a file | [`tokens`], `hostile::a_link_to_the_next_page_holds_no_token`, `auth::secrets_never_reach_the_log` |
//! | forged, expired, `none`, another algorithm (CVE-2015-9235), another key or instance, another kind | `auth::forged_and_worn_out_tokens_are_refused`, `auth::each_kind_of_token_is_good_for_its_own_purpose_only` |
//! | a token that brings its own key (CVE-2018-0114) | [`tokens`] |
//! | DNS rebinding (Ollama: CVE-2024-28224) | [`origins`], `http::only_our_own_names_and_pages_are_answered` |
//! | a page elsewhere posts without being asked, reads by a reflected origin (OpenCode: CVE-2026-22812; MCP Inspector: CVE-2025-49596), opens a socket (OpenClaw: CVE-2026-25253) | [`origins`] |
//! | forged requests by each cookie | `auth::the_refresh_cookie_counts_only_from_our_own_page`, `auth::the_media_cookie_reads_files_for_our_own_page_and_nothing_else` |
//! | another server of this host is sent our cookies, or sets its own for us | [`origins`] |
//! | the console in a stranger's frame | [`origins`], `tidy::the_console_keeps_to_its_own_policy` |
//! | stored scripts: replies, tool output, errors, log lines, names of files, chats and workers | [`scripts`], `messages::a_reply_is_rendered_without_anything_that_runs`, `fuzz::any_markdown_is_shown_without_anything_that_runs`, the console itself in `tests/browser` |
//! | uploads that are pages: HTML, SVG, polyglots | [`scripts`], `media::only_harmless_kinds_are_shown_in_place` |
//! | paths that climb: media, logs, assets, work directories | [`files`], `media::hostile_names_become_harmless_ones`, `media::links_and_other_places_are_not_served`, `workers::a_work_directory_is_nobody_elses_place` |
//! | symbolic and hard links | [`files`], `workers::a_directory_is_removed_only_if_skep_made_it`, `backup::hostile` in the library |
//! | archives that climb, link, overwrite (CVE-2025-4517 in Python's tarfile) or burst | [`files`], `backup::hostile` in the library, `fuzz::any_archive_is_unpacked_safely_or_refused` |
//! | slow heads, slow bodies, slow readers | [`floods`], `http::tests` in the library, `hostile::half_an_upload_leaves_nothing`, `hostile::slow_readers_of_a_long_reply_share_it` |
//! | floods of headers, bodies, connections, streams, requests | [`floods`], `http::an_endless_body_is_refused_at_the_limit`, `streams::streams_are_bounded`, `rate_limits`, `http::tests` in the library |
//! | guessing behind forged forwarding headers; locking the owner out; a flood of logins | [`floods`], `auth::guessing_is_slowed_down_and_success_starts_anew`, `rate_limits::addresses_are_taken_from_trusted_proxies_only` |
//! | HTTP/2: rapid resets (CVE-2023-44487), endless headers (CVE-2024-27316), two names | [`http2`], `http2::a_rapid_reset_ends_the_connection`, `http2::heads_are_bounded` |
//! | names, paths and messages that become options of an engine | [`engines`], `transcripts::a_message_that_looks_like_an_option_is_answered` |
//! | secrets in an engine's environment, or in that of its guard | [`engines`], `supervisor::an_engine_inherits_nothing_of_the_server` |
//! | request smuggling, NUL, over-long UTF-8, HTTP/0.9 | [`smuggling`], `http::nonsense_on_the_wire_harms_nobody`, `fuzz::anything_on_a_connection_is_answered_in_form` |

mod engines;
mod files;
mod floods;
mod http2;
mod origins;
mod scripts;
mod smuggling;
mod tokens;
