use super::*;

/// Applies one edit to a crate of these files. Returns the file that it changed.
fn apply(
    files: &[(&str, &str)],
    function: &str,
    text: &str,
    replacement: &str,
) -> anyhow::Result<(String, String)> {
    let files = files
        .iter()
        .map(|(name, text)| File::parse(format!("ring/src/{name}").into(), text.to_string()));
    let source = Source { files: files.collect::<anyhow::Result<_>>()? };
    let mut workspace = Workspace::new(Path::new("nowhere"));
    workspace.crates.insert("ring".to_owned(), source);
    let edit = Edit {
        crate_name: "ring".to_owned(),
        function: function.to_owned(),
        text: text.to_owned(),
        replacement: replacement.to_owned(),
    };
    let fault = Fault {
        name: "fault".to_owned(),
        description: "It is wrong.".to_owned(),
        noticed_by: None,
        canary: false,
        edits: vec![edit],
    };
    let mut changed = workspace.changed(&fault)?;
    assert_eq!(changed.len(), 1);
    let (path, text) = changed.remove(0);
    Ok((path.display().to_string(), text))
}

fn changed(source: &str, function: &str, text: &str, replacement: &str) -> String {
    apply(&[("lib.rs", source)], function, text, replacement).unwrap().1
}

fn refused(source: &str, function: &str, text: &str, replacement: &str) -> String {
    format!("{:#}", apply(&[("lib.rs", source)], function, text, replacement).unwrap_err())
}

#[test]
fn text_that_is_there_once_is_replaced() {
    let source = "fn a() { x(); y(); }\nfn b() { x(); }\n";
    assert_eq!(changed(source, "a", "x();", "z();"), "fn a() { z(); y(); }\nfn b() { x(); }\n");
    assert_eq!(changed(source, "b", "\nx();\n", ""), "fn a() { x(); y(); }\nfn b() {  }\n");
    assert_eq!(
        changed(source, "a", "y();", "\n// Why.\ny();\nz();\n"),
        "fn a() { x(); // Why.\ny();\nz(); }\nfn b() { x(); }\n"
    );
}

#[test]
fn missing_text_is_an_error_that_says_where_it_is() {
    let source = "fn a() { x(); }\n\nfn b() { y(); }\n";
    let error = refused(source, "a", "y();", "");
    assert!(error.contains("not in `a`, at ring/src/lib.rs:1"), "{error}");
    assert!(error.contains("It is in `b` at ring/src/lib.rs:3"), "{error}");
    let error = refused(source, "a", "z();", "");
    assert!(error.contains("It is in no other function either"), "{error}");
}

#[test]
fn missing_function_is_an_error_that_says_where_the_text_is() {
    let error = refused("fn a() { x(); }", "b", "x();", "");
    assert!(error.contains("no function `b` in ring/src. It is in `a`"), "{error}");
    // Neither does the end of a name do, nor a longer one.
    assert!(refused("fn cab() { x(); }", "ab", "x();", "").contains("no function"));
    assert!(refused("fn a() { x(); }", "more::than::a", "x();", "").contains("no function"));
}

#[test]
fn text_that_is_there_twice_is_an_error() {
    let error = refused("fn a() { x(); x(); }", "a", "x();", "");
    assert!(error.contains("2 times"), "{error}");
}

#[test]
fn text_in_two_functions_of_one_name_is_an_error() {
    let one = ("one.rs", "impl A { fn a() { x(); } }");
    let two = ("two.rs", "impl A { fn a() { x(); } }");
    let error = format!("{:#}", apply(&[one, two], "A::a", "x();", "").unwrap_err());
    assert!(error.contains("`one::A::a` at ring/src/one.rs:1"), "{error}");
    assert!(error.contains("`two::A::a` at ring/src/two.rs:1"), "{error}");
    let (path, _) = apply(&[one, two], "two::A::a", "x();", "").unwrap();
    assert_eq!(path, "ring/src/two.rs");
}

#[test]
fn moved_function_is_still_found() {
    let old = ("one.rs", "fn a() { x(); }");
    let new = ("deep/down/mod.rs", "mod inner {\n    impl A { fn a() { x( ) ; } }\n}");
    for file in [old, new] {
        apply(&[file], "a", "x();", "y();").unwrap();
    }
    let (path, _) = apply(&[new], "deep::down::inner::A::a", "x();", "y();").unwrap();
    assert_eq!(path, "ring/src/deep/down/mod.rs");
}

#[test]
fn comments_and_white_space_are_ignored() {
    let source = "fn a() {\n    x(\n        // why\n        1,\n        2, // also\n    );\n}\n";
    assert_eq!(changed(source, "a", "x(1, 2,);", "y();"), "fn a() {\n    y();\n}\n");
    assert_eq!(changed(source, "a", "x(1, /* one */\n\n 2,)", "y()"), "fn a() {\n    y();\n}\n");
}

#[test]
fn methods_of_impls_traits_and_generics_are_found() {
    let source = "
        impl<'a, T: Send> Slot<'a, T> where T: Sync { fn a<F: FnOnce()>(&self) -> u8 { 1 } }
        impl<T> Drop for Slot<'_, T> { fn drop(&mut self) { 2; } }
        impl Iterator for &mut crate::deep::Other<u8> { fn next(&mut self) { 3; } }
        trait Work { fn done(&self) -> u8; fn left(&self) -> u8 { 4 } }
        mod inner { pub(super) async unsafe fn free() { 5; } }
        fn outer() { fn nested() { 6; } impl Local { fn b() { 7; } } }
    ";
    let all = [
        ("Slot::a", "1"),
        ("Slot::drop", "2"),
        ("Other::next", "3"),
        ("Work::left", "4"),
        ("inner::free", "5"),
        ("nested", "6"),
        ("outer::nested", "6"),
        ("outer", "6"),
        ("Local::b", "7"),
    ];
    for (function, text) in all {
        changed(source, function, text, "0");
    }
    assert!(refused(source, "Work::done", "u8", "u16").contains("no function"));
    assert!(refused(source, "Slot::next", "3", "0").contains("no function"));
}

#[test]
fn signature_belongs_to_the_function() {
    assert_eq!(changed("pub fn a() -> u8 { 1 }", "a", "u8", "u16"), "pub fn a() -> u16 { 1 }");
}

#[test]
fn function_that_exists_once_for_each_cfg_is_told_apart_by_its_text() {
    let source = "#[cfg(unix)] fn a() { x(); }\n#[cfg(not(unix))] fn a() { y(); }\n";
    assert_eq!(
        changed(source, "a", "y();", "z();"),
        "#[cfg(unix)] fn a() { x(); }\n#[cfg(not(unix))] fn a() { z(); }\n"
    );
    let error = refused(&source.replace('y', "x"), "a", "x();", "z();");
    assert!(error.contains("2 times"), "{error}");
}

#[test]
fn nested_function_of_the_same_name_counts_once() {
    assert_eq!(changed("fn a() { fn a() { x(); } }", "a", "x();", ""), "fn a() { fn a() {  } }");
}

#[test]
fn edit_that_does_nothing_or_is_no_rust_is_an_error() {
    assert!(refused("fn a() { x(); }", "a", "x();", "x ( ) ; // same").contains("changes nothing"));
    assert!(refused("fn a() { x(); }", "a", " ", "y();").contains("is empty"));
    assert!(refused("fn a() { x(); }", "a", "x();", "let = ;").contains("no Rust"));
    assert!(refused("fn a() { x(); }", "a", "x(", "").contains("the text"));
}

#[test]
fn several_edits_of_one_file_are_all_found_in_the_original() {
    let text = "a b c";
    assert_eq!(replace(text, vec![(4..5, "zzz"), (0..1, "")]).unwrap(), " b zzz");
    assert!(replace(text, vec![(0..3, "z"), (2..5, "y")]).is_err());
}
