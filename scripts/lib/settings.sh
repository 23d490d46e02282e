# shellcheck shell=bash disable=SC2034,SC2154 # the variables are shared with install.sh
# /etc/edgeassist, secrets, and the command for people. Sourced by install.sh.

settings=/etc/edgeassist/edgeassist.toml
# The first line of the settings names it.
schema=/etc/edgeassist/edgeassist.schema.json
command=/usr/local/bin/edgeassist
# Where systemd looks for a service's credentials, readable by root only. The unit finds them here by name.
secrets=/etc/credstore
# What the options asked for, and only a person may write into settings that a person has changed.
advice=()

lay_settings() {
  local default=$root/config/edgeassist.toml
  [[ -d /etc/edgeassist ]] || step "make the folder /etc/edgeassist" install -d -m 755 /etc/edgeassist
  if untouched_settings; then
    if [[ ! -e $settings || -n $model ]] || $with_broker || ! cmp -s "$default" "$settings"; then
      step "write $settings$(choices)" write_settings
    fi
  elif ! cmp -s "$default" "$settings" && ! cmp -s "$default" "$prefix/current/share/edgeassist.toml"; then
    cmp -s "$default" "$settings.new" || step "lay the new default settings beside yours: $settings.new" \
      install -m 644 "$default" "$settings.new"
  fi
  cmp -s "$root/config/edgeassist.schema.json" "$schema" || step "lay the settings' schema beside them, for editors" \
    install -m 644 "$root/config/edgeassist.schema.json" "$schema"
  $dry_run || compare_settings
  cmp -s "$lib/command.sh" "$command" || step "put the command $command there" \
    install -m 755 "$lib/command.sh" "$command"
}

# names_setting KEY VALUE: whether the settings say so.
names_setting() { sed 's/ *#.*//; s/ *= */ = /' "$settings" | grep -qxF "$1 = $2"; }

# Tells in `advice` what of the options is not in them.
compare_settings() {
  local port=1883
  ! $with_broker || port=$(broker_listens)
  [[ $port == 1883 ]] || names_setting port "$port" || advice+=("mqtt.port = $port")
  [[ -z $model ]] || names_setting path "\"$model\"" || advice+=("model.path = \"$model\"")
}

# Nobody has written anything into them that would be lost.
untouched_settings() {
  [[ ! -e $settings ]] || cmp -s "$settings" "$prefix/current/share/edgeassist.toml" ||
    cmp -s "$settings" "$root/config/edgeassist.toml"
}

choices() {
  [[ -z $model ]] || printf ', with model.path = %s' "$model"
  ! $with_broker || printf ', for the broker on this machine'
}

write_settings() {
  local new=$settings.part
  install -m 644 "$root/config/edgeassist.toml" "$new"
  [[ -z $model ]] || set_setting "$new" model path "\"$model\""
  if $with_broker; then
    [[ $broker_port == 1883 ]] || set_setting "$new" mqtt port "$broker_port"
    # What the broker's access control list lets the daemon do.
    set_setting "$new" mqtt reply_prefixes '["{root}/reply/"]'
  fi
  mv "$new" "$settings"
  restart_needed=true
}

# set_setting FILE TABLE KEY VALUE: the default's line, a comment, becomes the setting.
set_setting() {
  table=$2 key=$3 value=$4 awk '
    /^\[/ { here = $0 == "[" ENVIRON["table"] "]" }
    here && !done && index($0, "#" ENVIRON["key"] " = ") == 1 {
      print ENVIRON["key"] " = " ENVIRON["value"]; done = 1; next
    }
    { print }
    END { exit !done }
  ' "$1" >"$1.set" || fail "config/edgeassist.toml has no line for $2.$3"
  mv "$1.set" "$1"
}

# store_secret KEY VALUE: as the credential of that setting.
store_secret() {
  install -d -m 700 "$secrets"
  (umask 077 && printf '%s\n' "$2" >"$secrets/edgeassist.$1.part")
  mv "$secrets/edgeassist.$1.part" "$secrets/edgeassist.$1"
}
