# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A launcher to double-click, for this user. Sourced after setup.sh.

# install_desktop: a launcher for this user, which starts this checkout.
install_desktop() {
  local data=${XDG_DATA_HOME:-$HOME/.local/share} desktop
  install -D -m 644 "$top/resources/rigpanel.svg" "$data/icons/hicolor/scalable/apps/rigpanel.svg"
  mkdir -p "$data/applications"
  # The entry's quotes escape a backslash, quote, dollar or backtick; then every backslash and percent sign is doubled.
  local command
  command=$(sed -e 's/[\\"`$]/\\&/g' -e 's/\\/\\\\/g' -e 's/%/%%/g' <<<"$top/packaging/run")
  while IFS= read -r line; do
    case $line in
      Exec=*) printf 'Exec="%s"%s\n' "$command" "${line#Exec=rigpanel}" ;;
      TryExec=*) ;;
      *) printf '%s\n' "$line" ;;
    esac
  done <"$top/packaging/rigpanel.desktop" >"$data/applications/rigpanel.desktop"
  chmod 755 "$data/applications/rigpanel.desktop"
  say "Launcher: $data/applications/rigpanel.desktop"
  desktop=$(xdg-user-dir DESKTOP 2>/dev/null || true)
  if [[ -d $desktop && $desktop != "$HOME" ]]; then
    install -m 755 "$data/applications/rigpanel.desktop" "$desktop/rigpanel.desktop"
    gio set "$desktop/rigpanel.desktop" metadata::trusted true 2>/dev/null || true
    say "Launcher: $desktop/rigpanel.desktop"
  fi
  update-desktop-database "$data/applications" 2>/dev/null || true
}
