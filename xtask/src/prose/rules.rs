//! The constructions that make a sentence hard to read, each with the advice that replaces it.

use std::sync::LazyLock;

use regex::Regex;

use super::text::words;

/// The most words of a sentence. The advice is to stay below 25.
const WORDS: usize = 30;

/// One construction to avoid.
struct Rule {
    advice: &'static str,
    pattern: &'static str,
    /// A continuation that makes the construction a good one.
    unless: &'static str,
}

const fn rule(advice: &'static str, pattern: &'static str) -> Rule {
    Rule { advice, pattern, unless: "" }
}

const RULES: &[Rule] = &[
    rule("name the actor", r"\b[Ww]ho(ever)?\b"),
    rule("name the actor", r"\b(?i:no|some|every|any)(body|one)\b"),
    rule("name the thing", r"\b(?i:ones?|those) (that|which|who)\b"),
    rule("name the thing", r"^(One|Those|That|Others|Such) (is|are|has|with|left)\b"),
    rule("name the thing", r"\b(?i:that|those) of (a|an|the|it|its|each|one|another|all|what)\b"),
    rule(
        "name the thing",
        r"(^|[.;:,(] |\b(of|by|with|for|at|in|to|from|than|as|does|do|says?|and|that|knows) )[Ww]hat (is|are|was|were|has|had|can|may|comes?|came|it|they|he|others?|this|that|one|remains|follows|waits|runs?|ran|takes|needs|[a-z]+ed)\b[^?]*$",
    ),
    Rule {
        advice: "give the number or the limit",
        pattern: r"\bso (many|much|long|often|far)\b",
        unless: r"^ (as|that)\b",
    },
    rule("begin with a verb in the third person", r"^(How|What|Whether|Why|Where|To be)\b[^?]*$"),
    rule("write \"at most\" or \"at least\"", r"\bat the (most|least)\b"),
    rule("write \"again\"", r"\banew\b"),
    rule("write \"releases\", \"drops\" or \"leaves\"", r"\b(lets?|letting) go\b"),
    rule("write \"while it writes\"", r"\bin mid-write\b"),
    rule("write \"the user's\" before the noun", r"\bof the (user|caller|crate)'s\b"),
    rule("write \"whether it is\" or list the cases", r"\bbe it\b"),
    rule("use the field's word", r"\b(?i:desks?|seats?|loans?|landings?|laps?|hubs?)\b"),
];

static COMPILED: LazyLock<Vec<(&str, Regex, Option<Regex>)>> = LazyLock::new(|| {
    let compile = |pattern: &str| Regex::new(pattern).expect("the patterns are tested");
    RULES
        .iter()
        .map(|rule| {
            let unless = (!rule.unless.is_empty()).then(|| compile(rule.unless));
            (rule.advice, compile(rule.pattern), unless)
        })
        .collect()
});

/// Returns the advice about a sentence, each with the words that it is about.
pub(super) fn advice(sentence: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (advice, pattern, unless) in &*COMPILED {
        let allowed = |end| unless.as_ref().is_some_and(|unless| unless.is_match(&sentence[end..]));
        if let Some(construction) = pattern.find_iter(sentence).find(|m| !allowed(m.end())) {
            let shown: String = construction.as_str().trim().chars().take(40).collect();
            found.push(format!("{advice} (\"{shown}\")"));
        }
    }
    let count = words(sentence);
    if count > WORDS {
        found.push(format!("make two sentences of it ({count} words, at most {WORDS})"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_construction_is_advised_against() {
        for (sentence, expected) in [
            ("The waker goes to whoever asks.", "name the actor (\"whoever\")"),
            ("The thread who waits is woken.", "name the actor (\"who\")"),
            ("Nobody reads the word then.", "name the actor (\"Nobody\")"),
            ("It wakes the one that waits.", "name the thing (\"one that\")"),
            ("Others are left alone there.", "name the thing (\"Others are\")"),
            ("The result is that of the ring.", "name the thing (\"that of the\")"),
            ("It counts the items of what was pulled.", "name the thing (\"of what was pulled.\")"),
            ("A batch takes so many items.", "give the number or the limit (\"so many\")"),
            (
                "How many items wait.",
                "begin with a verb in the third person (\"How many items wait.\")",
            ),
            (
                "It takes 3 items at the most.",
                "write \"at most\" or \"at least\" (\"at the most\")",
            ),
            ("The worker searches anew.", "write \"again\" (\"anew\")"),
            (
                "It lets go of the item.",
                "write \"releases\", \"drops\" or \"leaves\" (\"lets go\")",
            ),
            ("A slot in mid-write stays.", "write \"while it writes\" (\"in mid-write\")"),
            (
                "It runs code of the user's.",
                "write \"the user's\" before the noun (\"of the user's\")",
            ),
            (
                "Any thread, be it a worker.",
                "write \"whether it is\" or list the cases (\"be it\")",
            ),
            ("The hub publishes work.", "use the field's word (\"hub\")"),
        ] {
            assert_eq!(advice(sentence), [expected], "{sentence}");
        }
    }

    #[test]
    fn long_sentences_are_advised_against() {
        let sentence = |words: usize| format!("{}end.", "word ".repeat(words - 1));
        assert_eq!(advice(&sentence(30)), Vec::<String>::new());
        assert_eq!(advice(&sentence(31)), ["make two sentences of it (31 words, at most 30)"]);
    }

    #[test]
    fn plain_sentences_are_accepted() {
        for sentence in [
            "Returns the number of items that wait.",
            "It runs as long as the source has items, so far as that is known.",
            "What is left in the ring?",
            "One of the threads pulls the source.",
            "The worker takes one of the ranges.",
            "See what happens next.",
        ] {
            assert_eq!(advice(sentence), Vec::<String>::new(), "{sentence}");
        }
    }
}
