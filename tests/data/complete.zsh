# What a real zsh offers behind a line: zsh -f complete.zsh FILE-OF-COMPLETIONS LINE. It is typed into an
# interactive shell in a pseudo-terminal, with Tab, and everything that shell then shows is printed.
zmodload zsh/zpty
zpty shell "TERM=xterm zsh -f -i"
# To the next mark, which is never typed as it is printed. `zpty -r` reads whole lines.
until_mark() {
    local all='' piece
    while [[ $all != *"<$1>"* ]] && zpty -r shell piece; do all+=$piece; done
    print -r -- "$all"
}
zpty -w shell "autoload -U compinit; compinit -D -u; source ${(q)1}; LISTMAX=10000; print '<'ready'>'"
until_mark ready >/dev/null
# The list is drawn after the key that asks for it, the mark by the key after that.
zpty -w shell "mark() { print; print '<'listed'>' }; zle -N mark; bindkey -e; bindkey '^Xm' mark; bindkey '^I' list-choices; print '<'bound'>'"
until_mark bound >/dev/null
zpty -w -n shell "$2"$'\t\x18m'
until_mark listed
zpty -d shell
