{{- define "hub.name" -}}
{{ contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "hub.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hub.labels" -}}
{{ include "hub.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "hub.secret" -}}
{{ .Values.existingSecret | default (include "hub.name" .) }}
{{- end }}

{{- /* Each of the settings as a variable. A flag that is off has none. */ -}}
{{- define "hub.variables" -}}
{{- range $name, $value := .Values.settings }}
{{- if eq (toString $value) "true" }}
- {name: SSE_{{ upper $name }}, value: "1"}
{{- else if ne (toString $value) "false" }}
- {name: SSE_{{ upper $name }}, value: {{ include "hub.text" $value | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- /* Helm reads numbers as floats, and would write 4194304 as 4.194304e+06. */ -}}
{{- define "hub.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{- define "hub.check" -}}
{{- if not (or .Values.existingSecret .Values.jwtKey .Values.settings.jwks_url) }}
{{- fail "Without a key nobody may publish. Set jwtKey, existingSecret, or settings.jwks_url." }}
{{- end }}
{{- if and .Values.existingSecret (or .Values.jwtKey .Values.store) }}
{{- fail "existingSecret holds the keys jwt-key and store; leave jwtKey and store empty." }}
{{- end }}
{{- if and (gt (int .Values.replicas) 1) (not (or .Values.existingSecret .Values.store)) }}
{{- fail (printf "%d replicas need a Redis that they share: set store to redis://…, or use replicas: 1." (int .Values.replicas)) }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host is empty; it takes the host name of the hub, such as hub.example.org." }}
{{- end }}
{{- end }}
