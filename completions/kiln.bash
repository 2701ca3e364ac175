# bash completion for kiln. Written by scripts/reference.ts.

_kiln_words() {
  case $1 in
    '') echo 'build run images image tag rmi inspect history save load pull push copy imagetools login logout explain du prune cache fsck ui logs worker serve doctor completion debug help version' ;;
    'image') echo 'prune history explore diff' ;;
    'history') echo 'ls inspect logs open rm export import trace' ;;
    'imagetools') echo 'inspect create' ;;
    'cache') echo 'ls inspect rm export import' ;;
    'debug') echo 'dump-llb' ;;
  esac
}

_kiln_flags() {
  case $1 in
    'build') echo '--root --add-host --allow --annotation --arch --attest --authfile --build-arg --build-arg-file --build-context --builder --cache-from --cache-to --call --cgroup-parent --cgroupns --check --compress --cpu-period --cpu-quota --cpu-shares --cpus --cpuset-cpus --cpuset-mems --created-annotation --debug --device --disable-compression --disable-content-trust --explain --file --force-rm --format --http-proxy --identity-label --ignorefile --iidfile --inherit-annotations --inherit-labels --ipc --isolation --jobs --label --layers --load --max-parallelism --memory --memory-swap --metadata-file --network --no-cache --no-cache-filter --on-error --os --output --output-on-error --pid --pids --platform --policy --progress --provenance --pull --push --quiet --resource --retry --retry-delay --rewrite-timestamp --rm --sbom --secret --security-opt --shm-size --skip-unused-stages --source-date-epoch --squash --ssh --tag --target --timestamp --tls-verify --ulimit --userns --uts --variant --volume --worker-cache-mounts --worker-label --workers --help' ;;
    'run') echo '--root --env --workdir --user --entrypoint --network --platform --interactive --tty --rm --help' ;;
    'images') echo '--root --all --digests --quiet --filter --format --no-trunc --help' ;;
    'image prune') echo '--root --all --force --filter --help' ;;
    'image history') echo '--root --format --human --platform --quiet --no-trunc --help' ;;
    'image explore') echo '--root --platform --format --max-wasted --min-efficiency --help' ;;
    'image diff') echo '--root --platform --limit --format --help' ;;
    'tag') echo '--root --help' ;;
    'rmi') echo '--root --force --help' ;;
    'inspect') echo '--root --format --type --help' ;;
    'history ls') echo '--root --filter --format --local --no-trunc --quiet --help' ;;
    'history inspect') echo '--root --format --type --platform --help' ;;
    'history logs') echo '--root --progress --help' ;;
    'history open') echo '--root --port --no-open --help' ;;
    'history rm') echo '--root --all --help' ;;
    'history export') echo '--root --output --html --all --finalize --help' ;;
    'history import') echo '--root --file --help' ;;
    'history trace') echo '--root --compare --help' ;;
    'save') echo '--root --output --platform --help' ;;
    'load') echo '--root --input --quiet --help' ;;
    'pull') echo '--root --platform --quiet --help' ;;
    'push') echo '--root --all-tags --platform --quiet --help' ;;
    'copy') echo '--root --quiet --help' ;;
    'imagetools inspect') echo '--root --raw --format --help' ;;
    'imagetools create') echo '--root --tag --file --append --annotation --platform --prefer-index --metadata-file --dry-run --progress --help' ;;
    'login') echo '--root --username --password --password-stdin --help' ;;
    'logout') echo '--root --help' ;;
    'explain') echo '--root --help' ;;
    'du') echo '--root --verbose --filter --format --help' ;;
    'prune') echo '--root --all --filter --reserved-space --keep-storage --max-used-space --min-free-space --force --dry-run --auto --verbose --help' ;;
    'cache ls') echo '--root --records --format --help' ;;
    'cache inspect') echo '--root --help' ;;
    'cache rm') echo '--root --help' ;;
    'cache export') echo '--root --help' ;;
    'cache import') echo '--root --help' ;;
    'fsck') echo '--root --repair --help' ;;
    'ui') echo '--root --port --no-open --help' ;;
    'logs') echo '--root --list --json --usage --help' ;;
    'worker') echo '--root --nats --platform --labels --name --slots --no-secrets --allow-insecure-entitlement --help' ;;
    'serve') echo '--root --addr --docker --pass-to --config --group --tlscert --tlskey --tlscacert --allow-insecure-entitlement --insecure --idle-timeout --metrics --version --debug --trace --debugaddr --log-format --save-cache-debug --rootless --otel-socket-path --cdi-disabled --cdi-spec-dir --oci-worker --oci-worker-rootless --oci-worker-no-process-sandbox --oci-worker-proxy-snapshotter-path --oci-worker-binary --oci-worker-labels --oci-worker-platform --oci-worker-net --oci-worker-snapshotter --oci-worker-apparmor-profile --oci-worker-selinux --oci-worker-gc --oci-worker-gc-keepstorage --oci-cni-config-path --oci-cni-binary-dir --oci-cni-pool-size --oci-max-parallelism --containerd-worker --containerd-worker-addr --containerd-worker-namespace --containerd-worker-labels --containerd-worker-platform --containerd-worker-net --containerd-worker-snapshotter --containerd-worker-apparmor-profile --containerd-worker-selinux --containerd-worker-gc --containerd-worker-gc-keepstorage --containerd-cni-config-path --containerd-cni-binary-dir --containerd-cni-pool-size --containerd-max-parallelism --help' ;;
    'doctor') echo '--root --format --help' ;;
    'completion') echo '--root --help' ;;
    'debug dump-llb') echo '--root --file --target --build-arg --platform --format --output --help' ;;
  esac
}

# Flags whose value is the next word.
_kiln_valued() {
  case $1 in
    'build') echo '--root --add-host --allow --annotation --arch --attest --authfile --build-arg --build-arg-file --build-context --builder --cache-from --cache-to --call --cgroup-parent --cpu-period --cpu-quota --cpu-shares -c --cpus --cpuset-cpus --cpuset-mems --device --file -f --format --ignorefile --iidfile --isolation --jobs --label --max-parallelism --memory -m --memory-swap --metadata-file --network --no-cache-filter --on-error --os --output -o --output-on-error --pids --platform --policy --progress --provenance --resource --retry --retry-delay --sbom --secret --security-opt --shm-size --source-date-epoch --ssh --tag -t --target --timestamp --ulimit --variant --volume -v --worker-label --workers' ;;
    'run') echo '--root --env -e --workdir -w --user -u --entrypoint --network --platform' ;;
    'images') echo '--root --filter -f --format' ;;
    'image prune') echo '--root --filter' ;;
    'image history') echo '--root --format --platform' ;;
    'image explore') echo '--root --platform --format --max-wasted --min-efficiency' ;;
    'image diff') echo '--root --platform --limit --format' ;;
    'tag') echo '--root' ;;
    'rmi') echo '--root' ;;
    'inspect') echo '--root --format -f --type' ;;
    'history ls') echo '--root --filter --format' ;;
    'history inspect') echo '--root --format --type --platform' ;;
    'history logs') echo '--root --progress' ;;
    'history open') echo '--root --port' ;;
    'history rm') echo '--root' ;;
    'history export') echo '--root --output -o --html' ;;
    'history import') echo '--root --file -f' ;;
    'history trace') echo '--root --compare' ;;
    'save') echo '--root --output -o --platform' ;;
    'load') echo '--root --input -i' ;;
    'pull') echo '--root --platform' ;;
    'push') echo '--root --platform' ;;
    'copy') echo '--root' ;;
    'imagetools inspect') echo '--root --format' ;;
    'imagetools create') echo '--root --tag -t --file -f --annotation --platform -p --prefer-index --metadata-file --progress' ;;
    'login') echo '--root --username -u --password -p' ;;
    'logout') echo '--root' ;;
    'explain') echo '--root' ;;
    'du') echo '--root --filter --format' ;;
    'prune') echo '--root --filter --reserved-space --keep-storage --max-used-space --min-free-space' ;;
    'cache ls') echo '--root --format' ;;
    'cache inspect') echo '--root' ;;
    'cache rm') echo '--root' ;;
    'cache export') echo '--root' ;;
    'cache import') echo '--root' ;;
    'fsck') echo '--root' ;;
    'ui') echo '--root --port' ;;
    'logs') echo '--root' ;;
    'worker') echo '--root --nats --platform --labels --name --slots --allow-insecure-entitlement' ;;
    'serve') echo '--root --addr --docker --pass-to --config --group --tlscert --tlskey --tlscacert --allow-insecure-entitlement --idle-timeout --metrics --debugaddr --log-format --otel-socket-path --cdi-spec-dir --oci-worker --oci-worker-proxy-snapshotter-path --oci-worker-binary --oci-worker-labels --oci-worker-platform --oci-worker-net --oci-worker-snapshotter --oci-worker-apparmor-profile --oci-worker-gc-keepstorage --oci-cni-config-path --oci-cni-binary-dir --oci-cni-pool-size --oci-max-parallelism --containerd-worker --containerd-worker-addr --containerd-worker-namespace --containerd-worker-labels --containerd-worker-platform --containerd-worker-net --containerd-worker-snapshotter --containerd-worker-apparmor-profile --containerd-worker-gc-keepstorage --containerd-cni-config-path --containerd-cni-binary-dir --containerd-cni-pool-size --containerd-max-parallelism' ;;
    'doctor') echo '--root --format' ;;
    'completion') echo '--root' ;;
    'debug dump-llb') echo '--root --file -f --target --build-arg --platform --format --output -o' ;;
  esac
}

_kiln_values() {
  case $1 in
    'build --allow') echo 'network.host security.insecure device device= buildx.local.delete fs.read=' ;;
    'build --attest') echo 'type=provenance type=sbom' ;;
    'build --cache-from') echo 'type=registry,ref= type=local,src=' ;;
    'build --cache-to') echo 'type=registry,ref= type=local,dest= type=inline' ;;
    'build --call') echo 'build check lint outline targets convertllb subrequests.describe' ;;
    'build --network') echo 'default none host' ;;
    'build --on-error') echo 'shell' ;;
    'build --output') echo 'type=image type=registry type=oci type=docker type=tar type=local type=cacheonly' ;;
    'build -o') echo 'type=image type=registry type=oci type=docker type=tar type=local type=cacheonly' ;;
    'build --progress') echo 'auto tty plain quiet none rawjson' ;;
    'build --provenance') echo 'true false mode=min mode=max' ;;
    'build --pull') echo 'always newer missing never' ;;
    'build --sbom') echo 'true false' ;;
    'run --network') echo 'default none host' ;;
    'image explore --format') echo 'report json' ;;
    'image diff --format') echo 'report json' ;;
    'inspect --type') echo 'image' ;;
    'history logs --progress') echo 'auto tty plain quiet none rawjson' ;;
    'imagetools create --prefer-index') echo 'true false 1 0 t f' ;;
    'imagetools create --progress') echo 'auto tty plain quiet none rawjson' ;;
    'du --format') echo 'json' ;;
    'cache ls --format') echo 'json' ;;
    'doctor --format') echo 'json' ;;
    'completion') echo 'bash zsh fish' ;;
    'debug dump-llb --format') echo 'json binary' ;;
  esac
}

_kiln() {
  local line=${COMP_LINE:0:COMP_POINT} current= command= before= candidates= mark
  local -a words=()
  read -ra words <<<"$line"
  if [[ $line != *[[:blank:]] ]]; then
    current=${words[${#words[@]} - 1]}
    unset "words[${#words[@]} - 1]"
  fi
  COMPREPLY=()
  command=${words[1]-}
  if [[ -n $command && -n $(_kiln_words "$command") ]]; then
    if [[ -z ${words[2]-} ]]; then
      candidates=$(_kiln_words "$command")
    else
      command="$command ${words[2]}"
    fi
  elif [[ -z $command ]]; then
    candidates=$(_kiln_words '')
  fi
  before=${words[${#words[@]} - 1]}
  mark=$current
  if [[ -z $candidates ]]; then
    if [[ $current == --*=* ]]; then
      candidates=$(_kiln_values "$command ${current%%=*}")
      mark=${current#*=}
    elif [[ " $(_kiln_valued "$command") " == *" $before "* ]]; then
      candidates=$(_kiln_values "$command $before")
    elif [[ $current == -* ]]; then
      candidates=$(_kiln_flags "$command")
    else
      candidates=$(_kiln_values "$command")
    fi
  fi
  if [[ -z $candidates ]]; then
    compopt -o default 2>/dev/null
    return
  fi
  local prefix=${mark%"${mark##*[=:]}"} match
  while read -r match; do
    [[ -n $match ]] || continue
    [[ $match == *= ]] && compopt -o nospace 2>/dev/null
    COMPREPLY+=("${match#"$prefix"}")
  done < <(compgen -W "$candidates" -- "$mark")
}

complete -F _kiln kiln
