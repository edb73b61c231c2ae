{{- define "synod.labels" -}}
app.kubernetes.io/name: synod
app.kubernetes.io/part-of: synod
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "synod.selector" -}}
app.kubernetes.io/name: synod
app.kubernetes.io/component: operator
{{- end }}

{{- define "synod.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
