//! A few whole sentences in Chinese, for what works without knowing the language; all else in it is answered in it.

use super::super::request::Request;
use super::super::words::Words;

/// What a message in Chinese asks for; `None` if it is in another language.
pub fn chinese(words: Words<'_>) -> Option<Request> {
    let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
    if !words.rest().contains(is_han) {
        return None;
    }
    let plain: String = words.rest().chars().filter(|c| is_han(*c)).collect();
    let mut plain = plain.as_str();
    for courtesy in ["请", "帮我", "你能", "我想", "一下"] {
        plain = plain.strip_prefix(courtesy).unwrap_or(plain);
    }
    let is_all = |sentences: &[&str]| sentences.contains(&plain);
    Some(
        if is_all(&[
            "列出文件",
            "列出所有文件",
            "文件",
            "有哪些文件",
            "显示文件",
            "查看文件",
        ]) {
            Request::ListFiles {
                path: String::new(),
            }
        } else if is_all(&["助手", "列出助手", "有哪些助手", "查看助手", "显示助手"])
        {
            Request::Workers
        } else if is_all(&["引擎", "列出引擎", "有哪些引擎", "查看引擎", "显示引擎"])
        {
            Request::Engines
        } else if is_all(&["笔记", "列出笔记", "我的笔记", "查看笔记", "显示笔记"])
        {
            Request::Notes
        } else if is_all(&["状态", "查看状态", "显示状态", "系统状态"]) {
            Request::Status
        } else if plain.contains("模型") || plain.contains("引擎") {
            Request::ChineseAddModel
        } else {
            Request::Chinese
        },
    )
}
